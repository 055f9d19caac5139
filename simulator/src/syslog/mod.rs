//! A receiver of syslog as QRadar is one: TCP, TLS or UDP; it acknowledges nothing, cuts what is too long, and can close,
//! reset or stop reading on purpose. What arrived is kept, byte for byte.
//!
//! It has no control API: a test holds the [`Syslog`] itself.

mod framing;
mod parse;
mod pki;
#[cfg(test)]
mod tests;

pub use framing::Framing;
pub use parse::{Leef, Parsed, parse};
pub use pki::Pki;

use crate::server::SimulatorError;
use framing::Splitter;
use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpSocket, TcpStream, UdpSocket};
use tokio::sync::watch;

/// How a receiver listens.
#[derive(Clone, Debug)]
pub enum Listen {
    /// Plain connections.
    Tcp,
    /// Connections with TLS.
    Tls {
        /// Whose certificates.
        pki: Arc<Pki>,
        /// Whether clients must bring one.
        client_certificates: bool,
    },
    /// Datagrams.
    Udp,
}

/// What a receiver is like.
#[derive(Clone, Debug)]
pub struct SyslogConfig {
    /// Where; port 0 takes a free one.
    pub address: SocketAddr,
    /// How.
    pub listen: Listen,
    /// What ends a message.
    pub framing: Framing,
    /// A message ends after so many bytes; the rest is another one, over UDP it is lost.
    pub limit: usize,
    /// The room for what was not read, in bytes; `None` leaves it to the system.
    pub receive_buffer: Option<u32>,
}

impl Default for SyslogConfig {
    /// On a free port of loopback: TCP, newlines, QRadar's 4,096 bytes.
    fn default() -> Self {
        Self {
            address: SocketAddr::from(([127, 0, 0, 1], 0)),
            listen: Listen::Tcp,
            framing: Framing::Newline,
            limit: 4_096,
            receive_buffer: None,
        }
    }
}

/// What happens to a connection. Each connection takes the next fault that is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Nothing.
    None,
    /// Closes in order after so many messages, whatever else has come.
    CloseAfter(usize),
    /// Resets after so many messages and so many bytes of the next.
    ResetAfter(usize, usize),
}

/// One message that arrived.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arrived {
    /// Without its framing.
    pub bytes: Vec<u8>,
    /// The number of its connection, from 0; datagrams have none and say 0.
    pub connection: usize,
    /// It is the rest of one that was too long.
    pub rest: bool,
}

/// How a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// The client said that nothing more comes: TLS with close_notify.
    InOrder,
    /// It went without that, or broke.
    Broken,
    /// By a fault, or because the receiver was killed.
    ByUs,
    /// No TLS handshake came about.
    NoHandshake,
    /// What came was no framing.
    NoFraming,
}

#[derive(Debug, Default)]
struct State {
    arrived: Vec<Arrived>,
    connections: Vec<Option<Ended>>,
    faults: VecDeque<Fault>,
}

#[derive(Debug)]
struct Shared {
    framing: Framing,
    limit: usize,
    state: Mutex<State>,
    /// Rings whenever the state changes.
    news: watch::Sender<u64>,
    paused: watch::Sender<bool>,
    killed: watch::Sender<bool>,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state());
        self.news.send_modify(|count| *count += 1);
    }
}

/// A running receiver. Dropping it kills it.
#[derive(Debug)]
pub struct Syslog {
    address: SocketAddr,
    shared: Arc<Shared>,
    task: tokio::task::JoinHandle<()>,
}

impl Syslog {
    /// Starts to listen.
    ///
    /// # Errors
    /// The address is taken, or the certificate cannot be used.
    pub async fn start(config: SyslogConfig) -> Result<Self, SimulatorError> {
        let SyslogConfig { address, listen, framing, limit, receive_buffer } = config;
        let bind = |source| SimulatorError::Bind { address, source };
        let shared = Arc::new(Shared {
            framing,
            limit,
            state: Mutex::default(),
            news: watch::Sender::new(0),
            paused: watch::Sender::new(false),
            killed: watch::Sender::new(false),
        });
        let ours = Arc::clone(&shared);
        let acceptor = match &listen {
            Listen::Tls { pki, client_certificates } => Some(pki.acceptor(*client_certificates)?),
            Listen::Tcp | Listen::Udp => None,
        };
        if let Listen::Udp = listen {
            let socket = UdpSocket::bind(address).await.map_err(bind)?;
            let address = socket.local_addr().map_err(bind)?;
            return Ok(Self { address, shared, task: tokio::spawn(datagrams(socket, ours)) });
        }
        let listener = listener(address, receive_buffer).map_err(bind)?;
        let address = listener.local_addr().map_err(bind)?;
        let task = tokio::spawn(async move {
            let mut killed = ours.killed.subscribe();
            loop {
                let accepted = tokio::select! {
                    accepted = listener.accept() => accepted,
                    _ = killed.wait_for(|killed| *killed) => return,
                };
                let Ok((stream, _)) = accepted else { continue };
                let (shared, acceptor) = (Arc::clone(&ours), acceptor.clone());
                tokio::spawn(connection(shared, stream, acceptor));
            }
        });
        Ok(Self { address, shared, task })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// All that arrived, in order.
    pub fn arrived(&self) -> Vec<Arrived> {
        self.shared.state().arrived.clone()
    }

    /// How each connection ended; `None` for one that is open.
    pub fn connections(&self) -> Vec<Option<Ended>> {
        self.shared.state().connections.clone()
    }

    /// Waits until this holds of what arrived and of the connections.
    pub async fn until(&self, holds: impl Fn(&[Arrived], &[Option<Ended>]) -> bool) {
        let mut news = self.shared.news.subscribe();
        loop {
            {
                let state = self.shared.state();
                if holds(&state.arrived, &state.connections) {
                    return;
                }
            }
            if news.changed().await.is_err() {
                return;
            }
        }
    }

    /// The faults of the next connections.
    pub fn script(&self, faults: impl IntoIterator<Item = Fault>) {
        self.shared.change(|state| state.faults.extend(faults));
    }

    /// Stops reading; what comes fills the buffers between.
    pub fn pause(&self) {
        self.shared.paused.send_replace(true);
    }

    /// Reads on.
    pub fn resume(&self) {
        self.shared.paused.send_replace(false);
    }

    /// Ends as a process does under `kill -9`: listener and connections are gone, and with them what was not read.
    pub async fn kill(mut self) -> Vec<Arrived> {
        self.shared.killed.send_replace(true);
        // A task that panicked has ended as well.
        let _ = (&mut self.task).await;
        self.until(|_, connections| connections.iter().all(Option::is_some)).await;
        self.arrived()
    }
}

impl Drop for Syslog {
    fn drop(&mut self) {
        self.shared.killed.send_replace(true);
    }
}

fn listener(address: SocketAddr, receive_buffer: Option<u32>) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    // So that it can come back on its port.
    socket.set_reuseaddr(true)?;
    if let Some(bytes) = receive_buffer {
        socket.set_recv_buffer_size(bytes)?;
    }
    socket.bind(address)?;
    socket.listen(64)
}

/// Waits until the receiver reads; the guard is not held beyond this.
async fn open(paused: &mut watch::Receiver<bool>) {
    let _ = paused.wait_for(|paused| !*paused).await;
}

async fn datagrams(socket: UdpSocket, shared: Arc<Shared>) {
    let mut killed = shared.killed.subscribe();
    let mut paused = shared.paused.subscribe();
    let mut bytes = vec![0; 65_536];
    loop {
        let received = tokio::select! {
            received = async {
                open(&mut paused).await;
                socket.recv(&mut bytes).await
            } => received,
            _ = killed.wait_for(|killed| *killed) => return,
        };
        let Ok(length) = received else { continue };
        let message = bytes.get(..length.min(shared.limit)).unwrap_or_default().to_vec();
        shared.change(|state| state.arrived.push(Arrived { bytes: message, connection: 0, rest: false }));
    }
}

async fn connection(shared: Arc<Shared>, stream: TcpStream, acceptor: Option<tokio_rustls::TlsAcceptor>) {
    let mut number = 0;
    let mut fault = Fault::None;
    shared.change(|state| {
        number = state.connections.len();
        state.connections.push(None);
        fault = state.faults.pop_front().unwrap_or(Fault::None);
    });
    // To be gone at once, with a reset, whatever layer is above.
    let reset = Reset::of(&stream);
    let mut killed = shared.killed.subscribe();
    let served = async {
        match acceptor {
            None => read(&shared, number, fault, stream, &reset).await,
            Some(acceptor) => match acceptor.accept(stream).await {
                Ok(stream) => read(&shared, number, fault, stream, &reset).await,
                Err(_) => Ended::NoHandshake,
            },
        }
    };
    let ended = tokio::select! {
        ended = served => ended,
        _ = killed.wait_for(|killed| *killed) => Ended::ByUs,
    };
    shared.change(|state| {
        if let Some(connection) = state.connections.get_mut(number) {
            *connection = Some(ended);
        }
    });
}

/// Closes a connection with a reset instead of an end.
struct Reset(Option<socket2::Socket>);

impl Reset {
    fn of(stream: &TcpStream) -> Self {
        Self(socket2::SockRef::from(stream).try_clone().ok())
    }

    fn now(&self) {
        if let Some(socket) = &self.0 {
            // A socket that does not linger resets when its last handle is closed; `shutdown` would end in order.
            let _ = socket.set_linger(Some(Duration::ZERO));
        }
    }
}

async fn read(
    shared: &Shared,
    number: usize,
    fault: Fault,
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    reset: &Reset,
) -> Ended {
    let mut splitter = Splitter::new(shared.framing, shared.limit);
    let mut paused = shared.paused.subscribe();
    let mut bytes = vec![0; 16 << 10];
    let mut messages = 0;
    loop {
        loop {
            match fault {
                Fault::CloseAfter(most) if messages >= most => {
                    let _ = stream.shutdown().await;
                    return Ended::ByUs;
                }
                Fault::ResetAfter(most, within) if messages >= most && splitter.left() >= within => {
                    reset.now();
                    return Ended::ByUs;
                }
                _ => {}
            }
            match splitter.next() {
                Ok(None) => break,
                Ok(Some((bytes, rest))) => {
                    messages += 1;
                    let arrived = Arrived { bytes, connection: number, rest };
                    shared.change(|state| state.arrived.push(arrived));
                }
                Err(_) => return Ended::NoFraming,
            }
        }
        open(&mut paused).await;
        match stream.read(&mut bytes).await {
            Ok(0) => {
                // The other side waits for this.
                let _ = stream.shutdown().await;
                return Ended::InOrder;
            }
            Ok(length) => splitter.feed(bytes.get(..length).unwrap_or_default()),
            Err(_) => return Ended::Broken,
        }
    }
}
