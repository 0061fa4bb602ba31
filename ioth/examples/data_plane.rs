//! The data plane alone, without Python, for profilers: `cargo run --release --example data_plane -- PORT IO SHARDS`.
//!
//! Control-plane commands do not exist in it. It ends when its standard input does.

use std::io::Read;

use sherd_ioth::server::{Server, Shape};
use sherd_metrics::allocator::Mimalloc;
use sherd_metrics::memory::Counting;
use sherd_shards::server::settings::Settings;

#[global_allocator]
static ALLOCATOR: Counting<Mimalloc> = Counting(Mimalloc);

fn main() -> std::io::Result<()> {
    let numbers: Vec<usize> = std::env::args().skip(1).filter_map(|text| text.parse().ok()).collect();
    let number = |at: usize, default: usize| numbers.get(at).copied().unwrap_or(default);
    sherd_shards::families::install(sherd_ioth::commands::specs().into_iter());
    let shape = Shape { shards: number(2, 1), io_threads: number(1, 1), cluster: false };
    let server = Server::new(shape, Settings::default())?;
    let port = server.listen(std::net::SocketAddr::from(([127, 0, 0, 1], number(0, 7777) as u16)), 511, false)?;
    server.start()?;
    println!("serving on 127.0.0.1:{port}");
    let _ = std::io::stdin().read_to_end(&mut Vec::new());
    server.stop(std::time::Duration::from_secs(1));
    Ok(())
}
