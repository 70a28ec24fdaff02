//! Runs the model of the driver: each operation is a future that waits for virtual time or for
//! something to become true on its host, and can be dropped at any wait, as the daemon's own are.

use super::Reply;
use super::world::World;
use super::{Event, OperationId};
use std::cell::RefCell;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

type Pending = Pin<Box<dyn Future<Output = Reply>>>;

/// The operations under way on one host.
#[derive(Default)]
pub(super) struct Executor {
    tasks: Vec<Task>,
}

struct Task {
    id: OperationId,
    future: Pending,
    /// Nobody waits for it any more; only its file work goes on.
    given_up: bool,
}

impl Executor {
    pub(super) fn spawn(&mut self, id: OperationId, future: impl Future<Output = Reply> + 'static) {
        self.tasks.push(Task { id, future: Box::pin(future), given_up: false });
    }

    /// Gives an operation up. Work on a blocking thread goes on to its end, and nobody's turn waits
    /// for that; all else ends here.
    pub(super) fn give_up(&mut self, world: &Rc<RefCell<World>>, id: OperationId) {
        for task in self.tasks.iter_mut().filter(|task| task.id == id) {
            task.given_up = true;
        }
        world.borrow_mut().turn.take_if(|holder| *holder == id);
        self.sweep(world);
    }

    /// The daemon is gone, and all of its threads.
    pub(super) fn kill(&mut self) {
        self.tasks.clear();
    }

    /// Polls every operation once; says whether one of them ended.
    pub(super) fn poll(&mut self, world: &Rc<RefCell<World>>) -> bool {
        self.sweep(world);
        let mut context = Context::from_waker(Waker::noop());
        let mut ended = Vec::new();
        for (index, task) in self.tasks.iter_mut().enumerate() {
            if let Poll::Ready(reply) = task.future.as_mut().poll(&mut context) {
                ended.push(index);
                if !task.given_up {
                    world.borrow_mut().events.push(Event::Ended { id: task.id, reply });
                }
            }
        }
        for index in ended.iter().rev() {
            self.tasks.remove(*index);
        }
        !ended.is_empty()
    }

    fn sweep(&mut self, world: &Rc<RefCell<World>>) {
        let on_disk = world.borrow().on_disk.clone();
        self.tasks.retain(|task| !task.given_up || on_disk.contains(&task.id));
    }
}

/// Waits until `look` finds something, at most for `patience`.
pub(super) async fn until<T>(
    world: &Rc<RefCell<World>>,
    patience: Duration,
    mut look: impl FnMut(&mut World) -> Option<T>,
) -> Option<T> {
    let deadline = {
        let mut world = world.borrow_mut();
        let deadline = world.now + patience;
        world.alarms.insert(deadline);
        deadline
    };
    poll_fn(move |_| {
        let mut world = world.borrow_mut();
        match look(&mut world) {
            Some(found) => Poll::Ready(Some(found)),
            None if world.now >= deadline => Poll::Ready(None),
            None => Poll::Pending,
        }
    })
    .await
}
