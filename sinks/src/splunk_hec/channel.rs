//! One worker's conversation with one receiver.
//!
//! Acknowledgements live in the memory of the indexer that took the request, and are counted for each channel. So each
//! delivery has a channel of its own while it lasts: its requests go to one address, with the cookies that keep a load
//! balancer on one indexer, and its ids cannot be mistaken for another's.

use super::answer::AckId;
use crate::nodes::Nodes;
use http::header::{COOKIE, SET_COOKIE};
use http::{HeaderMap, HeaderName, HeaderValue};
use ring::rand::{SecureRandom as _, SystemRandom};
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use tidegate_core::fault::{Fault, FaultKind};
use tokio::time::Instant;
use url::Url;

/// The header that names the channel.
pub(super) const CHANNEL: HeaderName = HeaderName::from_static("x-splunk-request-channel");

/// Cookies that are kept, and how long one may be: those that balancers set are one or two, of some 100 bytes.
const MOST_COOKIES: usize = 16;
const LONGEST_COOKIE: usize = 4_096;

/// A channel, its address, its cookies.
pub(super) struct Channel {
    /// A random GUID.
    pub(super) id: String,
    /// Which address.
    pub(super) node: usize,
    /// Whether it had a delivery before this one.
    pub(super) used: bool,
    /// Whether its receiver may not be the one that it was: nothing more is sent on it.
    pub(super) over: bool,
    cookies: BTreeMap<String, String>,
}

impl Channel {
    pub(super) fn new(node: usize) -> Result<Self, Fault> {
        let mut bytes = [0_u8; 16];
        SystemRandom::new()
            .fill(&mut bytes)
            .map_err(|_| Fault::new(FaultKind::Server, "the system has no random numbers"))?;
        // A random GUID says so in these bits (RFC 9562).
        let n = u128::from_be_bytes(bytes) & !(0xf << 76) & !(0x3 << 62) | (0x4 << 76) | (0x2 << 62);
        let id = format!(
            "{:08X}-{:04X}-{:04X}-{:04X}-{:012X}",
            n >> 96,
            n >> 80 & 0xffff,
            n >> 64 & 0xffff,
            n >> 48 & 0xffff,
            n & 0xffff_ffff_ffff
        );
        Ok(Self { id, node, used: false, over: false, cookies: BTreeMap::new() })
    }

    /// Keeps what a balancer wants to hear again, from its own origin alone: the channel never leaves it.
    pub(super) fn learn(&mut self, headers: &HeaderMap) {
        for line in headers.get_all(SET_COOKIE).iter().filter_map(|value| value.to_str().ok()) {
            let mut parts = line.split(';').map(str::trim);
            let Some((name, value)) = parts.next().and_then(|pair| pair.split_once('=')) else { continue };
            let gone = parts.any(|attribute| attribute.eq_ignore_ascii_case("max-age=0"));
            if gone {
                self.cookies.remove(name);
            } else if !name.is_empty()
                && line.len() <= LONGEST_COOKIE
                && (self.cookies.contains_key(name) || self.cookies.len() < MOST_COOKIES)
            {
                self.cookies.insert(name.to_owned(), value.to_owned());
            }
        }
    }

    /// Says the cookies, and the channel where it is wanted.
    pub(super) fn sign(&self, headers: &mut HeaderMap, named: bool) {
        if let (true, Ok(id)) = (named, HeaderValue::from_str(&self.id)) {
            headers.insert(CHANNEL, id);
        }
        let cookies: Vec<_> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        if let (false, Ok(mut value)) = (cookies.is_empty(), HeaderValue::from_str(&cookies.join("; "))) {
            value.set_sensitive(true);
            headers.insert(COOKIE, value);
        }
    }
}

/// Channels that wait for their next delivery.
#[derive(Default)]
pub(super) struct Channels(Mutex<Vec<Channel>>);

impl Channels {
    /// One whose address is well, else a new one to the next address in turn.
    pub(super) fn take(&self, nodes: &Nodes<Url>) -> Result<Channel, Fault> {
        let mut idle = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some(channel) = idle.pop() {
            if !nodes.rests(channel.node) {
                return Ok(channel);
            }
        }
        Channel::new(nodes.pick().0)
    }

    /// Gives it back, unless it is over.
    pub(super) fn give(&self, channel: Channel) {
        if !channel.over {
            let channel = Channel { used: true, ..channel };
            self.0.lock().unwrap_or_else(PoisonError::into_inner).push(channel);
        }
    }
}

/// Documents that were taken and are not safe yet.
pub(super) struct Waiting {
    pub(super) id: AckId,
    /// Their places in the batch.
    pub(super) documents: Vec<usize>,
    /// How long they are waited for.
    pub(super) until: Instant,
}

#[cfg(test)]
mod tests {
    use super::*;
    use url::Url;

    fn cookies(channel: &Channel) -> String {
        let mut headers = HeaderMap::new();
        channel.sign(&mut headers, true);
        assert_eq!(headers[CHANNEL], channel.id.as_str());
        headers.get(COOKIE).map(|value| value.to_str().unwrap().to_owned()).unwrap_or_default()
    }

    fn told(lines: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(SET_COOKIE, line.parse().unwrap());
        }
        headers
    }

    #[test]
    fn a_channel_is_a_random_guid() {
        let one = Channel::new(0).unwrap().id;
        let parts: Vec<_> = one.split('-').map(str::len).collect();
        assert_eq!(parts, [8, 4, 4, 4, 12], "{one}");
        assert!(one.bytes().all(|b| b == b'-' || b.is_ascii_digit() || (b'A'..=b'F').contains(&b)), "{one}");
        assert_eq!((one.as_bytes()[14], "89AB".contains(char::from(one.as_bytes()[19]))), (b'4', true));
        assert_ne!(one, Channel::new(0).unwrap().id);
    }

    #[test]
    fn cookies_are_said_again_until_they_are_taken_back() {
        let mut channel = Channel::new(0).unwrap();
        assert_eq!(cookies(&channel), "");
        channel.learn(&told(&["lb=one; Path=/; HttpOnly", "session=a=b"]));
        assert_eq!(cookies(&channel), "lb=one; session=a=b");
        channel.learn(&told(&["lb=two", "session=; Max-Age=0", "nonsense"]));
        assert_eq!(cookies(&channel), "lb=two");
        let flood: Vec<String> = (0..100).map(|n| format!("c{n}=x")).collect();
        channel.learn(&told(&flood.iter().map(String::as_str).collect::<Vec<_>>()));
        channel.learn(&told(&[&format!("lb={}", "x".repeat(LONGEST_COOKIE))]));
        assert!(cookies(&channel).starts_with("c0=x"));
        assert!(cookies(&channel).ends_with("lb=two"));
        assert_eq!(cookies(&channel).split("; ").count(), MOST_COOKIES);
    }

    #[tokio::test(start_paused = true)]
    async fn a_channel_is_used_again_while_its_address_is_well() {
        let nodes = Nodes::new(vec![
            Url::parse("https://a.example.com").unwrap(),
            Url::parse("https://b.example.com").unwrap(),
        ]);
        let channels = Channels::default();
        let first = channels.take(&nodes).unwrap();
        let second = channels.take(&nodes).unwrap();
        assert_ne!((first.node, &first.id), (second.node, &second.id));
        let (id, node) = (first.id.clone(), first.node);
        channels.give(first);
        let again = channels.take(&nodes).unwrap();
        assert_eq!(again.id, id);
        channels.give(again);
        nodes.failed(node);
        let other = channels.take(&nodes).unwrap();
        assert_ne!((&other.id, other.node), (&id, node), "nothing more goes to an address that failed");
        channels.give(Channel { over: true, ..other });
        assert_ne!(channels.take(&nodes).unwrap().id, id);
    }
}
