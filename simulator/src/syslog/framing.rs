//! Cuts what comes on a connection into messages.

/// What ends a message on a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// A line feed behind it.
    Newline,
    /// Its length in bytes and a blank before it (RFC 6587, 3.4.1).
    Octet,
}

/// The bytes of one connection on their way to messages.
#[derive(Debug)]
pub(super) struct Splitter {
    framing: Framing,
    limit: usize,
    buffer: Vec<u8>,
    /// The line in hand is the rest of one that was too long.
    rest: bool,
}

/// One message, and whether it is only the rest of one that was cut.
pub(super) type Piece = (Vec<u8>, bool);

impl Splitter {
    pub(super) fn new(framing: Framing, limit: usize) -> Self {
        Self { framing, limit, buffer: Vec::new(), rest: false }
    }

    /// Bytes that are no whole message yet.
    pub(super) fn left(&self) -> usize {
        self.buffer.len()
    }

    /// The next message that is whole; an error where the framing is broken, after which nothing can be read.
    pub(super) fn next(&mut self) -> Result<Option<Piece>, String> {
        match self.framing {
            Framing::Newline => Ok(self.line()),
            Framing::Octet => self.counted(),
        }
    }

    pub(super) fn feed(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// As receivers do: at the limit a message ends, and what follows is another.
    fn line(&mut self) -> Option<Piece> {
        let end = self.buffer.iter().take(self.limit + 1).position(|byte| *byte == b'\n');
        let rest = self.rest;
        match end {
            Some(end) => {
                let mut line: Vec<u8> = self.buffer.drain(..=end).collect();
                line.pop();
                self.rest = false;
                Some((line, rest))
            }
            None if self.buffer.len() > self.limit => {
                self.rest = true;
                Some((self.buffer.drain(..self.limit).collect(), rest))
            }
            None => None,
        }
    }

    fn counted(&mut self) -> Result<Option<Piece>, String> {
        // Nobody sends a message of more than nine digits' length.
        let Some(blank) = self.buffer.iter().take(10).position(|byte| *byte == b' ') else {
            if self.buffer.len() >= 10 || self.buffer.iter().any(|byte| !byte.is_ascii_digit()) {
                return Err(format!("no octet count in {:?}", String::from_utf8_lossy(&self.buffer)));
            }
            return Ok(None);
        };
        let digits = std::str::from_utf8(self.buffer.get(..blank).unwrap_or_default()).unwrap_or_default();
        let length = match digits.parse::<usize>() {
            Ok(length) if length > 0 && !digits.starts_with(['0', '+']) => length,
            _ => return Err(format!("{digits:?} is no octet count")),
        };
        let end = blank + 1 + length;
        if self.buffer.len() < end {
            return Ok(None);
        }
        let mut message: Vec<u8> = self.buffer.drain(..end).skip(blank + 1).collect();
        if self.rest || length <= self.limit {
            let rest = std::mem::take(&mut self.rest);
            return Ok(Some((message, rest)));
        }
        // The rest goes back under a count of its own.
        let behind = message.split_off(self.limit);
        let mut again = format!("{} ", behind.len()).into_bytes();
        again.extend_from_slice(&behind);
        self.buffer.splice(..0, again);
        self.rest = true;
        Ok(Some((message, false)))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use proptest::prelude::*;

    fn all(framing: Framing, limit: usize, chunks: &[&[u8]]) -> Result<Vec<Piece>, String> {
        let mut splitter = Splitter::new(framing, limit);
        let mut out = Vec::new();
        for chunk in chunks {
            splitter.feed(chunk);
            while let Some(piece) = splitter.next()? {
                out.push(piece);
            }
        }
        Ok(out)
    }

    proptest! {
        #[test]
        fn messages_come_out_as_they_went_in_however_the_network_cuts_them(
            messages in proptest::collection::vec("[^\n]{1,40}", 1..8),
            cuts in proptest::collection::vec(1_usize..20, 1..60),
            octet: bool,
        ) {
            let framing = if octet { Framing::Octet } else { Framing::Newline };
            let mut wire = Vec::new();
            for message in &messages {
                match framing {
                    Framing::Octet => wire.extend(format!("{} {message}", message.len()).bytes()),
                    Framing::Newline => wire.extend(format!("{message}\n").bytes()),
                }
            }
            let (mut chunks, mut rest) = (Vec::new(), wire.as_slice());
            for cut in cuts.iter().cycle() {
                if rest.is_empty() { break; }
                let (chunk, behind) = rest.split_at((*cut).min(rest.len()));
                chunks.push(chunk);
                rest = behind;
            }
            let got = all(framing, 1_000, &chunks).unwrap();
            let expected: Vec<Piece> = messages.iter().map(|m| (m.clone().into_bytes(), false)).collect();
            prop_assert_eq!(got, expected);
        }
    }

    #[test]
    fn what_is_too_long_becomes_two_messages() {
        let expected = vec![(b"abcd".to_vec(), false), (b"ef".to_vec(), true), (b"gh".to_vec(), false)];
        assert_eq!(all(Framing::Newline, 4, &[b"abcdef\ngh\n"]).unwrap(), expected);
        assert_eq!(all(Framing::Octet, 4, &[b"6 abcdef2 gh"]).unwrap(), expected);
        assert_eq!(all(Framing::Newline, 4, &[b"abcd\n"]).unwrap().len(), 1, "at the limit it is whole");
    }

    #[test]
    fn a_wrong_count_ends_the_connection() {
        for wire in [&b"<13>1 x"[..], b"0 ", b"07 abcdefg", b"99999999999", b"-1 x"] {
            all(Framing::Octet, 100, &[wire]).unwrap_err();
        }
        let wrong = all(Framing::Octet, 100, &[b"3 abcd2 xy"]);
        wrong.unwrap_err();
    }
}
