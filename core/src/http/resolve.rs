//! Names become addresses as the system's own rules say, on threads of their own.
//!
//! The C library's look-up blocks, for half a minute where a name server does not answer. Among the runtime's blocking
//! tasks, of which few run at a time, some stuck look-ups would hold up every journal, and busy journals every look-up.

use std::io;
use std::net::{SocketAddr, ToSocketAddrs as _};
use tokio::sync::{Semaphore, oneshot};

/// Look-ups of the process at the same time. At 20 ms each these are 400 a second, for connections that last for minutes;
/// and some may be stuck before others wait.
const LOOKUPS: usize = 8;

static FREE: Semaphore = Semaphore::const_new(LOOKUPS);

/// The addresses of a host, with port 0. Whoever stops waiting leaves its thread to end by itself.
///
/// # Errors
/// What the system's resolver says.
pub async fn resolve(host: String) -> io::Result<Vec<SocketAddr>> {
    let free = FREE.acquire().await.map_err(io::Error::other)?;
    let (tell, told) = oneshot::channel();
    std::thread::Builder::new().name("resolve".to_owned()).spawn(move || {
        let found = (host.as_str(), 0).to_socket_addrs().map(Iterator::collect);
        drop(free);
        let _nobody_waits = tell.send(found);
    })?;
    told.await.map_err(io::Error::other)?
}
