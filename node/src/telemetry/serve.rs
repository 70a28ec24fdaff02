//! `http://ADDRESS/metrics` for Prometheus. Plain HTTP on a local port: it tells figures and takes
//! nothing.

use super::metrics::Metrics;
use axum::Router;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::routing::get;
use std::io;
use std::net::SocketAddr;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// The port cannot be had.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address} for metrics; set `metrics.listen` to a free address, or to \"off\"")]
pub struct MetricsError {
    address: SocketAddr,
    #[source]
    source: io::Error,
}

/// Takes the port.
pub async fn bind(address: SocketAddr) -> Result<TcpListener, MetricsError> {
    TcpListener::bind(address).await.map_err(|source| MetricsError { address, source })
}

/// Answers until cancelled.
pub async fn serve(listener: TcpListener, metrics: Metrics, shutdown: CancellationToken) -> io::Result<()> {
    let router = Router::new().route("/metrics", get(show)).with_state(metrics);
    axum::serve(listener, router).with_graceful_shutdown(shutdown.cancelled_owned()).await
}

async fn show(State(metrics): State<Metrics>) -> ([(axum::http::HeaderName, &'static str); 1], String) {
    ([(CONTENT_TYPE, "application/openmetrics-text; version=1.0.0; charset=utf-8")], metrics.encode())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn prometheus_gets_the_figures() {
        let listener = bind(SocketAddr::from(([127, 0, 0, 1], 0))).await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let shutdown = CancellationToken::new();
        let server = tokio::spawn(serve(listener, Metrics::new(), shutdown.clone()));
        let response = reqwest::get(format!("http://{address}/metrics")).await.expect("an answer");
        assert_eq!(response.status(), 200);
        let text = response.text().await.expect("a text");
        assert!(text.ends_with("# EOF\n") && text.contains("relupd_raft_term 0"), "{text}");
        let taken = bind(address).await.expect_err("the port is taken");
        assert!(taken.to_string().contains("metrics.listen"));
        shutdown.cancel();
        server.await.expect("it does not panic").expect("it ends well");
    }
}
