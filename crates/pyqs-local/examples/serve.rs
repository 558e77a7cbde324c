//! The endpoint alone, for trying it out: `serve PORT [DATA_FOLDER [full]]`. Prints the line to
//! paste, and stops when its input is closed or on Ctrl-C.

use std::net::{Ipv4Addr, SocketAddr};

use pyqs_local::{Config, RecyclingAllocator, Server, Sync};

#[global_allocator]
static ALLOCATOR: RecyclingAllocator = RecyclingAllocator;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let port = arguments.first().map_or(Ok(9324), |port| port.parse())?;
    let is_full = arguments.get(2).is_some_and(|word| word == "full");
    let server = Server::bind(Config {
        address: SocketAddr::from((Ipv4Addr::LOCALHOST, port)),
        data: arguments.get(1).map(Into::into),
        sync: if is_full { Sync::Full } else { Sync::Normal },
        ..Config::default()
    })?;
    println!("export AWS_ENDPOINT_URL=http://{}", server.local_addr());
    let stop = async {
        // Whatever comes, an error too, ends the example.
        let _ = tokio::signal::ctrl_c().await;
    };
    Ok(server.run(stop).await?)
}
