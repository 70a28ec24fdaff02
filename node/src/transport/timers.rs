//! The timers of connections.
//!
//! A connection moves its timer with each packet, and mostly to later: an acknowledgement takes away the deadline by
//! which the packet would be sent again. tokio leaves a timer that is moved to later where it was, and looks again
//! when that time comes: of an idle leader's wake-ups a fifth did nothing else. These are taken out and set anew.

use quinn::{AsyncTimer, AsyncUdpSocket, Runtime, TokioRuntime};
use std::io;
use std::net::UdpSocket;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;
use tokio::time::{Sleep, sleep_until};

/// quinn's runtime for tokio, with these timers.
#[derive(Debug)]
pub(super) struct PunctualRuntime;

impl Runtime for PunctualRuntime {
    fn new_timer(&self, deadline: Instant) -> Pin<Box<dyn AsyncTimer>> {
        Box::pin(Timer(Box::pin(sleep_until(deadline.into()))))
    }

    fn spawn(&self, task: Pin<Box<dyn Future<Output = ()> + Send>>) {
        TokioRuntime.spawn(task);
    }

    fn wrap_udp_socket(&self, socket: UdpSocket) -> io::Result<Arc<dyn AsyncUdpSocket>> {
        TokioRuntime.wrap_udp_socket(socket)
    }

    fn now(&self) -> Instant {
        TokioRuntime.now()
    }
}

#[derive(Debug)]
struct Timer(Pin<Box<Sleep>>);

impl AsyncTimer for Timer {
    fn reset(mut self: Pin<&mut Self>, deadline: Instant) {
        self.0.set(sleep_until(deadline.into()));
    }

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        Future::poll(self.0.as_mut(), context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::poll_fn;
    use std::time::Duration;

    #[tokio::test]
    async fn a_timer_fires_when_it_was_last_set_to() {
        let (now, hour) = (PunctualRuntime.now(), Duration::from_secs(3600));
        let mut timer = PunctualRuntime.new_timer(now);
        timer.as_mut().reset(now + hour);
        let fires = poll_fn(|context| Poll::Ready(timer.as_mut().poll(context).is_ready())).await;
        assert!(!fires);
        timer.as_mut().reset(now);
        poll_fn(|context| timer.as_mut().poll(context)).await;
    }
}
