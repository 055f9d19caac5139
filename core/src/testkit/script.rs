//! A scripted other side, in process: works under tokio's paused clock.

use crate::clock::Clock;
use crate::http::{Body, Client, HttpSettings, Transport, TransportError};
use crate::quota::Quota;
use async_trait::async_trait;
use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};
use futures_util::StreamExt as _;
use futures_util::stream;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// One answer.
#[derive(Clone, Debug)]
pub struct Reply {
    /// Its status.
    pub status: StatusCode,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body in chunks, each after a pause.
    pub chunks: Vec<(Duration, Bytes)>,
    /// How the body breaks off, if it does.
    pub broken: Option<TransportError>,
    /// How long headers take.
    pub delay: Duration,
}

impl Reply {
    /// A JSON answer.
    ///
    /// # Panics
    /// With a status that is none.
    #[must_use]
    pub fn json(status: u16, body: impl Into<String>) -> Self {
        Self {
            status: StatusCode::from_u16(status).expect("tests name real statuses"),
            headers: HeaderMap::new(),
            chunks: vec![(Duration::ZERO, Bytes::from(body.into()))],
            broken: None,
            delay: Duration::ZERO,
        }
        .header("content-type", "application/json")
    }

    /// The same with one header more.
    ///
    /// # Panics
    /// With a header that is none.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.append(
            HeaderName::from_bytes(name.as_bytes()).expect("tests name real headers"),
            HeaderValue::from_str(value).expect("tests use real header values"),
        );
        self
    }

    /// The same with the header replaced.
    #[must_use]
    pub fn replace(mut self, name: &str, value: &str) -> Self {
        self.headers.remove(name);
        self.header(name, value)
    }

    /// The same without the header.
    #[must_use]
    pub fn without(mut self, name: &str) -> Self {
        self.headers.remove(name);
        self
    }

    /// The same, cut off after so many bytes of its first chunk; the connection ends as if all were well, as a proxy
    /// does it.
    #[must_use]
    pub fn cut(mut self, bytes: usize) -> Self {
        self.chunks.truncate(1);
        for (_, chunk) in &mut self.chunks {
            chunk.truncate(bytes);
        }
        self
    }

    /// The same, with the connection broken after the last chunk.
    #[must_use]
    pub fn broken(mut self) -> Self {
        self.broken = Some(TransportError::Broken("connection reset by peer".to_owned()));
        self
    }
}

/// Answers one request; `now` is the other side's clock.
pub type Answer = dyn FnMut(&Request<Bytes>, DateTime<Utc>) -> Result<Reply, TransportError> + Send;

/// Answers what it recognises, before anything else; `None`: not mine.
pub type Aside = dyn FnMut(&Request<Bytes>, DateTime<Utc>) -> Option<Reply> + Send;

struct Inside {
    aside: Option<Box<Aside>>,
    queue: VecDeque<Result<Reply, TransportError>>,
    answer: Option<Box<Answer>>,
    requests: Vec<Request<Bytes>>,
}

/// The other side: answers from a queue, else from a function, and remembers every request.
/// Adds a `Date` header by its own clock unless the reply has one.
#[derive(Clone)]
pub struct Script {
    clock: Clock,
    inside: Arc<Mutex<Inside>>,
}

impl Script {
    /// A silent other side whose clock is this one.
    #[must_use]
    pub fn new(clock: Clock) -> Self {
        let inside = Inside { aside: None, queue: VecDeque::new(), answer: None, requests: Vec::new() };
        Self { clock, inside: Arc::new(Mutex::new(inside)) }
    }

    /// A silent other side in 2026, on tokio's clock.
    #[must_use]
    pub fn start() -> Self {
        Self::new(Clock::starting_at(DateTime::from_timestamp(1_780_000_000, 0).unwrap_or_default()))
    }

    /// The next answer.
    pub fn push(&self, reply: Reply) {
        self.lock().queue.push_back(Ok(reply));
    }

    /// The next answer is none.
    pub fn fail(&self, error: TransportError) {
        self.lock().queue.push_back(Err(error));
    }

    /// Answers whatever the queue does not.
    pub fn answer(
        &self,
        answer: impl FnMut(&Request<Bytes>, DateTime<Utc>) -> Result<Reply, TransportError> + Send + 'static,
    ) {
        self.lock().answer = Some(Box::new(answer));
    }

    /// Answers first whatever it recognises (a token endpoint), without a trace in [`Script::requests`].
    pub fn aside(&self, aside: impl FnMut(&Request<Bytes>, DateTime<Utc>) -> Option<Reply> + Send + 'static) {
        self.lock().aside = Some(Box::new(aside));
    }

    /// Every request since the last call, in order.
    #[must_use]
    pub fn requests(&self) -> Vec<Request<Bytes>> {
        std::mem::take(&mut self.lock().requests)
    }

    /// The paths and queries of [`Script::requests`], with the method before those that are no `GET`.
    #[must_use]
    pub fn asked(&self) -> Vec<String> {
        let show = |request: &Request<Bytes>| match *request.method() {
            Method::GET => request.uri().to_string(),
            ref method => format!("{method} {}", request.uri()),
        };
        self.requests().iter().map(show).collect()
    }

    /// The other side's clock.
    #[must_use]
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// A client of this side with a fresh quota and the same clock.
    #[must_use]
    pub fn client(&self) -> Client {
        self.client_with(HttpSettings::default(), TimeDelta::zero())
    }

    /// A client of this side whose clock is wrong by so much.
    #[must_use]
    pub fn client_with(&self, settings: HttpSettings, wrong_by: TimeDelta) -> Client {
        Client::new(Arc::new(self.clone()), self.clock.wrong_by(wrong_by), settings)
            .with_quota(Quota::default())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Inside> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Transport for Script {
    async fn send(&self, request: Request<Bytes>) -> Result<Response<Body>, TransportError> {
        let now = self.clock.now();
        let reply = {
            let mut inside = self.lock();
            match inside.aside.as_mut().and_then(|aside| aside(&request, now)) {
                Some(reply) => Ok(reply),
                None => {
                    inside.requests.push(request.clone());
                    match inside.queue.pop_front() {
                        Some(reply) => reply,
                        None => match &mut inside.answer {
                            Some(answer) => answer(&request, now),
                            None => Err(TransportError::Connect("the script is at its end".to_owned())),
                        },
                    }
                }
            }
        }?;
        tokio::time::sleep(reply.delay).await;
        let mut response = Response::new(());
        *response.status_mut() = reply.status;
        *response.headers_mut() = reply.headers;
        if !response.headers().contains_key("date") {
            let date = (now + TimeDelta::from_std(reply.delay).unwrap_or_default())
                .format("%a, %d %b %Y %H:%M:%S GMT")
                .to_string();
            if let Ok(date) = HeaderValue::from_str(&date) {
                response.headers_mut().insert("date", date);
            }
        }
        let chunks = stream::iter(reply.chunks).then(|(pause, chunk)| async move {
            if !pause.is_zero() {
                tokio::time::sleep(pause).await;
            }
            Ok(chunk)
        });
        let end = stream::iter(reply.broken.map(Err));
        Ok(response.map(|()| chunks.chain(end).boxed()))
    }
}
