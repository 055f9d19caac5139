//! The one connection of a sink, and its replay tail.
//!
//! Syslog has no acknowledgement: that a write succeeded says that bytes are in our own kernel. So what was sent stays in
//! the *tail* until it is likely to have been read, and its batch has no verdict before. When the connection breaks,
//! all that is in the tail goes back to [`tidegate_core::deliver`], which sends it again. A batch leaves the tail when
//!
//! - so many bytes were sent behind it that no kernel between can hold it any more, or
//! - the connection stayed well for `tail_time` after its last byte, and the receiver's kernel has acknowledged it (asked
//!   of our own kernel, where it says so). A write that had to wait says that the receiver does not read: the time begins
//!   anew when it goes on, or
//! - the connection was closed in good order and the receiver closed its side in turn: it has read all there was.

use super::config::{Address, Config};
use super::connection::{self, Acknowledged, Connection, Ends, Stream};
use crate::nodes::Nodes;
use bytes::Bytes;
use std::collections::{HashMap, VecDeque};
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tidegate_core::clock::Clock;
use tidegate_core::fault::{Fault, FaultKind};
use tidegate_core::http::Backoff;
use tidegate_core::sink::DeliverError;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, ReadHalf, WriteHalf};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep, sleep_until, timeout};

/// A batch whose writing took longer had to wait for the receiver.
const WAITED: Duration = Duration::from_secs(1);
/// Batches whose order is remembered: more than may be on their way.
const MOST_AGAIN: usize = 4_096;
/// What has been there for long enough and is not acknowledged is looked at again after this long.
const LOOK_AGAIN: Duration = Duration::from_millis(500);
/// When both sides have closed, the last acknowledgement is looked for this often.
const SETTLES: Duration = Duration::from_millis(20);
/// How long the receiver may take to close its side: it has to read what it was sent first.
pub(super) const CLOSE: Duration = Duration::from_secs(10);

/// What the receiver does with a batch.
pub(super) type Verdict = Result<(), DeliverError>;

/// A batch on its way.
pub(super) struct Job {
    pub(super) body: Bytes,
    pub(super) verdict: oneshot::Sender<Verdict>,
}

/// What the sink asks of its connection.
pub(super) enum Order {
    Send(Job),
    /// Send what there is, end in good order, say so.
    Close(oneshot::Sender<()>),
}

/// What a connection is made with.
pub(super) struct Way {
    pub(super) config: Config,
    pub(super) nodes: Nodes<Address>,
    pub(super) clock: Clock,
    /// For the dice of the waits.
    pub(super) name: String,
}

/// Starts the connection's task. It connects when there is something to send, and ends, in good order, with the last
/// sender. Orders wait without a bound: core has at most `in_flight` batches out.
pub(super) fn start(way: Arc<Way>) -> mpsc::UnboundedSender<Order> {
    let (orders, taken) = mpsc::unbounded_channel();
    let backoff = Backoff::new(&way.name);
    let line = Line { way, orders: taken, waiting: VecDeque::new(), numbers: Numbers::default(), backoff };
    tokio::spawn(line.run());
    orders
}

struct Line {
    way: Arc<Way>,
    orders: mpsc::UnboundedReceiver<Order>,
    waiting: VecDeque<(u64, Job)>,
    numbers: Numbers,
    backoff: Backoff,
}

/// The order in which batches came first. One that comes again is known by the memory that it lies in, which core keeps for
/// as long as it has no verdict; a mistake would cost nothing but the order.
#[derive(Default)]
struct Numbers {
    next: u64,
    again: HashMap<(usize, usize), u64>,
}

impl Numbers {
    fn key(body: &Bytes) -> (usize, usize) {
        (body.as_ptr() as usize, body.len())
    }

    fn of(&mut self, body: &Bytes) -> u64 {
        self.again.remove(&Self::key(body)).unwrap_or_else(|| {
            self.next += 1;
            self.next
        })
    }

    fn comes_again(&mut self, number: u64, body: &Bytes) {
        // Those that core has given up meanwhile do not come again.
        if self.again.len() >= MOST_AGAIN {
            self.again.clear();
        }
        self.again.insert(Self::key(body), number);
    }
}

/// A batch that was handed to the kernel.
struct Sent {
    number: u64,
    job: Job,
    /// Where it ends, in bytes of the connection.
    end: u64,
    /// When it has been there for `tail_time`.
    until: Instant,
}

/// A batch that is being written.
struct Writing {
    number: u64,
    job: Job,
    at: usize,
    since: Instant,
}

/// A connection with what was sent on it.
struct Open {
    ends: Option<Ends>,
    read: ReadHalf<Box<dyn Stream>>,
    write: WriteHalf<Box<dyn Stream>>,
    current: Option<Writing>,
    tail: VecDeque<Sent>,
    written: u64,
}

/// Why a connection is over.
enum End {
    /// The receiver closed it.
    Closed,
    Broken(io::Error),
    /// We closed it, and the receiver did too; who asked for it.
    InOrder(Option<oneshot::Sender<()>>),
    /// We closed it and the receiver did not, or in disorder.
    Unsure(Option<oneshot::Sender<()>>, io::Error),
}

impl Line {
    async fn run(mut self) {
        loop {
            self.forget_abandoned();
            if self.waiting.is_empty() {
                match self.orders.recv().await {
                    None => return,
                    Some(order) => self.take(order),
                }
                continue;
            }
            match self.connect().await {
                Ok((node, connection)) => self.converse(node, connection).await,
                Err(refused) => {
                    self.take_all();
                    let all: Vec<_> = self.waiting.drain(..).collect();
                    self.give_back(all, &refused);
                }
            }
        }
    }

    /// An order while there is no connection.
    fn take(&mut self, order: Order) {
        match order {
            Order::Send(job) => {
                let number = self.numbers.of(&job.body);
                self.waiting.push_back((number, job));
            }
            Order::Close(done) => {
                let _nobody_waits = done.send(());
            }
        }
    }

    fn take_all(&mut self) {
        while let Ok(order) = self.orders.try_recv() {
            self.take(order);
        }
    }

    /// What nobody waits for any more is not sent: core was told to stop, and sends it at the next start.
    fn forget_abandoned(&mut self) {
        self.waiting.retain(|(_, job)| !job.verdict.is_closed());
    }

    /// Tries each receiver once, those that failed lately last.
    async fn connect(&self) -> Result<(usize, Connection), DeliverError> {
        let nodes = &self.way.nodes;
        let mut error = None;
        for _ in nodes.all() {
            let (node, address) = nodes.pick();
            match connection::open(&self.way.config, address, self.way.clock.now()).await {
                Ok(connection) => return Ok((node, connection)),
                Err(refused) => {
                    nodes.failed(node);
                    error = Some(refused);
                }
            }
        }
        Err(error.unwrap_or_else(|| connection::retry(Fault::new(FaultKind::Configuration, "no address"))))
    }

    /// Every batch gets the same error and the same wait, so that they come back together, and in order.
    fn give_back(&mut self, jobs: Vec<(u64, Job)>, error: &DeliverError) {
        let error = match error {
            DeliverError::Retry { after: None, cause } => {
                DeliverError::Retry { after: Some(self.backoff.wait()), cause: cause.clone() }
            }
            other => other.clone(),
        };
        for (number, job) in jobs {
            if job.verdict.is_closed() {
                continue;
            }
            self.numbers.comes_again(number, &job.body);
            let _nobody_waits = job.verdict.send(Err(error.clone()));
        }
    }

    /// Sends until the connection is over, and sees to what is in the tail then.
    async fn converse(&mut self, node: usize, connection: Connection) {
        // What came while the connection was made goes in the order in which it first came.
        self.take_all();
        self.forget_abandoned();
        self.waiting.make_contiguous().sort_by_key(|(number, _)| *number);
        let Connection { stream, ends } = connection;
        let (read, write) = tokio::io::split(stream);
        let mut open = Open { ends, read, write, current: None, tail: VecDeque::new(), written: 0 };
        let end = self.serve(&mut open).await;
        let address = self.way.nodes.all().get(node).map(ToString::to_string).unwrap_or_default();
        let unread: u64 = open.tail.iter().map(|sent| sent.job.body.len() as u64).sum();
        let nothing_lost = open.tail.is_empty() && open.current.is_none();
        let (cause, done) = match end {
            End::InOrder(done) => {
                for sent in open.tail.drain(..) {
                    let _nobody_waits = sent.job.verdict.send(Ok(()));
                }
                self.backoff.reset();
                if let Some(done) = done {
                    let _nobody_waits = done.send(());
                }
                return;
            }
            End::Closed if nothing_lost => {
                tracing::debug!(receiver = %address, "the receiver closed an idle connection");
                return;
            }
            End::Closed => (closed(&address, unread), None),
            End::Broken(error) => (self.broken(node, &error), None),
            End::Unsure(done, error) => (self.broken(node, &error), done),
        };
        if !nothing_lost {
            self.way.nodes.failed(node);
        }
        let mut back: Vec<_> = open.tail.into_iter().map(|sent| (sent.number, sent.job)).collect();
        back.extend(open.current.map(|writing| (writing.number, writing.job)));
        self.take_all();
        back.extend(self.waiting.drain(..));
        self.give_back(back, &cause);
        if let Some(done) = done {
            let _nobody_waits = done.send(());
        }
    }

    fn broken(&self, node: usize, error: &io::Error) -> DeliverError {
        match self.way.nodes.all().get(node) {
            Some(address) => connection::broken(&self.way.config, address, error, self.way.clock.now()),
            None => connection::retry(Fault::new(FaultKind::Network, error.to_string())),
        }
    }

    async fn serve(&mut self, open: &mut Open) -> End {
        let (tail_bytes, tail_time) = (self.way.config.tail_bytes.0 as u64, self.way.config.tail_time.0);
        // Receivers say nothing; whatever they say is read away, so that their closing is seen.
        let mut said = [0; 512];
        loop {
            if open.current.is_none()
                && let Some((number, job)) = self.waiting.pop_front()
            {
                open.current = Some(Writing { number, job, at: 0, since: Instant::now() });
            }
            let due = open.tail.front().map(|sent| sent.until);
            tokio::select! {
                biased;
                read = open.read.read(&mut said) => match read {
                    Ok(0) => return End::Closed,
                    Ok(_) => {}
                    Err(error) => return End::Broken(error),
                },
                written = push(&mut open.write, &mut open.current), if open.current.is_some() => match written {
                    Ok(false) => {}
                    Ok(true) => open.finish(tail_time),
                    Err(error) => return End::Broken(error),
                },
                order = self.orders.recv(), if open.current.is_none() => match order {
                    Some(Order::Send(job)) => {
                        let number = self.numbers.of(&job.body);
                        self.waiting.push_back((number, job));
                    }
                    Some(Order::Close(done)) => return open.close(Some(done)).await,
                    None => return open.close(None).await,
                },
                () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() && open.current.is_none() => {}
            }
            if open.current.is_none() && open.release(tail_bytes).await {
                self.backoff.reset();
            }
        }
    }
}

/// Writes on; whether the kernel has the whole batch. Nothing is lost when it is not awaited to its end.
async fn push(write: &mut WriteHalf<Box<dyn Stream>>, current: &mut Option<Writing>) -> io::Result<bool> {
    let Some(writing) = current else { return Ok(false) };
    let rest = writing.job.body.get(writing.at..).unwrap_or_default();
    if rest.is_empty() {
        // TLS keeps records of its own.
        write.flush().await?;
        return Ok(true);
    }
    match write.write(rest).await? {
        0 => Err(io::ErrorKind::WriteZero.into()),
        count => {
            writing.at += count;
            Ok(false)
        }
    }
}

impl Open {
    /// The kernel has the whole batch: it joins the tail.
    fn finish(&mut self, tail_time: Duration) {
        let Some(Writing { number, job, since, .. }) = self.current.take() else { return };
        let now = Instant::now();
        let until = now + tail_time;
        if now - since > WAITED {
            for sent in &mut self.tail {
                sent.until = until;
            }
        }
        self.written += job.body.len() as u64;
        self.tail.push_back(Sent { number, job, end: self.written, until });
    }

    /// Lets go of what has left the tail; whether there was any.
    async fn release(&mut self, tail_bytes: u64) -> bool {
        let before = self.tail.len();
        let far = self.written.saturating_sub(tail_bytes);
        self.let_go(|sent| sent.end <= far);
        if self.tail.front().is_some_and(|sent| sent.until <= Instant::now()) {
            let left = match connection::acknowledged(self.ends).await {
                Acknowledged::AllBut(left) => left,
                // The next read says why.
                Acknowledged::Gone => u64::MAX,
                Acknowledged::Unknown => 0,
            };
            // With TLS there are more bytes on the wire than in messages: this errs on the side of waiting.
            let (acknowledged, now) = (self.written.saturating_sub(left), Instant::now());
            self.let_go(|sent| sent.until <= now && sent.end <= acknowledged);
            if let Some(sent) = self.tail.front_mut().filter(|sent| sent.until <= now) {
                sent.until = now + LOOK_AGAIN;
            }
        }
        self.tail.len() < before
    }

    fn let_go(&mut self, left: impl Fn(&Sent) -> bool) {
        while let Some(sent) = self.tail.pop_front_if(|sent| left(sent)) {
            let _nobody_waits = sent.job.verdict.send(Ok(()));
        }
    }

    /// Says that nothing more comes (TLS: close_notify) and waits until the receiver has closed its side as well, which it
    /// does when it has read everything. A bare close loses the tail where the receiver has sent what we did not read,
    /// such as the session tickets of TLS 1.3: our kernel then answers with a reset.
    async fn close(&mut self, asked: Option<oneshot::Sender<()>>) -> End {
        let (ends, read, write) = (self.ends, &mut self.read, &mut self.write);
        let closed = timeout(CLOSE, async {
            write.shutdown().await?;
            let mut said = [0; 512];
            loop {
                match read.read(&mut said).await {
                    Ok(0) => break,
                    Ok(_) => {}
                    // The other side's close_notify is missing, but its end of the connection came in order.
                    Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => break,
                    Err(error) => return Err(error),
                }
            }
            // It may have closed by itself at the same time, before it had what was sent last.
            loop {
                match connection::acknowledged(ends).await {
                    Acknowledged::AllBut(0) | Acknowledged::Unknown => return Ok(()),
                    Acknowledged::AllBut(_) => sleep(SETTLES).await,
                    Acknowledged::Gone => return Err(io::ErrorKind::ConnectionReset.into()),
                }
            }
        });
        match closed.await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())) {
            Ok(()) => End::InOrder(asked),
            Err(error) => End::Unsure(asked, error),
        }
    }
}

fn closed(address: &str, unread: u64) -> DeliverError {
    let what =
        format!("{address}: the receiver closed the connection; the last {unread} bytes are sent again");
    connection::retry(Fault::new(FaultKind::Network, what))
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;
    use tokio::net::{TcpListener, TcpStream};

    #[test]
    fn batches_that_never_come_again_are_not_remembered_for_ever() {
        let mut numbers = Numbers::default();
        let bodies: Vec<_> = (0..3 * MOST_AGAIN).map(|n| Bytes::from(n.to_string())).collect();
        for body in &bodies {
            let number = numbers.of(body);
            numbers.comes_again(number, body);
        }
        assert!(numbers.again.len() <= MOST_AGAIN, "{}", numbers.again.len());
        let last = bodies.last().unwrap();
        assert_eq!(numbers.of(last), bodies.len() as u64, "the last are known");
    }

    #[tokio::test]
    async fn a_receiver_that_closed_before_it_had_the_last_batch_has_not_closed_in_turn() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut ours = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let ends = Some((ours.local_addr().unwrap(), ours.peer_addr().unwrap()));
        drop(listener.accept().await.unwrap());
        assert_eq!(ours.peek(&mut [0]).await.unwrap(), 0, "it has closed");
        // Our kernel takes it; theirs answers that nobody is there any more.
        ours.write_all(b"the last batch\n").await.unwrap();
        let stream: Box<dyn Stream> = Box::new(ours);
        let (read, write) = tokio::io::split(stream);
        let mut open = Open { ends, read, write, current: None, tail: VecDeque::new(), written: 15 };
        assert!(matches!(open.close(None).await, End::Unsure(..)));
    }
}
