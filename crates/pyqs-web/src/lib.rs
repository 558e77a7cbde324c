//! What a worker shows of itself by HTTP. It reads a value that the worker leaves on a [`Board`], holds no lock while
//! it answers, asks SQS nothing and decides nothing.
//!
//! Modules in reading order: `connections`, how many; `routes`, every URL; `metrics`, Prometheus's text of a status; `health`, what is well.
//!
//! ```no_run
//! # async fn example(board: pyqs_worker::Board) -> std::io::Result<()> {
//! let listener = std::net::TcpListener::bind("127.0.0.1:9100")?;
//! pyqs_web::serve(listener, None, board).await;
//! # Ok(())
//! # }
//! ```

mod connections;
mod health;
mod metrics;
mod routes;

use std::future::Future;
use std::net::TcpListener;
use std::pin::Pin;

use pyqs_worker::Board;

use self::connections::Few;

/// Serves until it is dropped. Where there is a token, who asks for more than health must bear it.
pub fn serve(
    listener: TcpListener,
    token: Option<String>,
    board: Board,
) -> Pin<Box<dyn Future<Output = ()> + Send>> {
    Box::pin(async move {
        // Neither fails on a socket that is bound; without it there is nothing to serve.
        let Ok(()) = listener.set_nonblocking(true) else {
            return;
        };
        let Ok(listener) = tokio::net::TcpListener::from_std(listener) else {
            return;
        };
        // It goes on for ever.
        let _ = axum::serve(Few::new(listener), routes::router(board, token)).await;
    })
}
