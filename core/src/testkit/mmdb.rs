//! Tiny MaxMind databases that know one IPv4 network.

use std::net::Ipv4Addr;

/// A database of cities: the network is in Lindau.
#[must_use]
pub fn city(network: Ipv4Addr, prefix: u8) -> Vec<u8> {
    let named = |word: &str| Data::Map(vec![("names", Data::Map(vec![("en", Data::Text(word.to_owned()))]))]);
    let Data::Map(mut country) = named("Germany") else { return Vec::new() };
    country.push(("iso_code", Data::Text("DE".to_owned())));
    let entry = Data::Map(vec![
        ("city", named("Lindau")),
        ("country", Data::Map(country)),
        ("subdivisions", Data::List(vec![named("Bavaria")])),
        ("location", Data::Map(vec![("latitude", Data::Double(47.5)), ("longitude", Data::Double(-9.25))])),
    ]);
    database("Tidegate-City", network, prefix, &entry)
}

/// A database of autonomous systems: the network is that of 64500, Example Net.
#[must_use]
pub fn asn(network: Ipv4Addr, prefix: u8) -> Vec<u8> {
    let entry = Data::Map(vec![
        ("autonomous_system_number", Data::Number(64_500)),
        ("autonomous_system_organization", Data::Text("Example Net".to_owned())),
    ]);
    database("Tidegate-ASN", network, prefix, &entry)
}

enum Data {
    Text(String),
    Double(f64),
    Short(u16),
    Number(u32),
    Long(u64),
    Map(Vec<(&'static str, Data)>),
    List(Vec<Data>),
}

/// One byte of type and size; the format's longer forms are not needed here, but for a list and a long
/// number, whose types are extended.
fn write(data: &Data, out: &mut Vec<u8>) {
    let size = |size: usize| u8::try_from(size.min(28)).unwrap_or_default();
    match data {
        Data::Text(text) => {
            out.push(2 << 5 | size(text.len()));
            out.extend_from_slice(text.as_bytes());
        }
        Data::Double(number) => {
            out.push(3 << 5 | 8);
            out.extend_from_slice(&number.to_be_bytes());
        }
        Data::Short(number) => {
            out.push(5 << 5 | 2);
            out.extend_from_slice(&number.to_be_bytes());
        }
        Data::Long(number) => {
            out.extend([8, 9 - 7]);
            out.extend_from_slice(&number.to_be_bytes());
        }
        Data::Number(number) => {
            out.push(6 << 5 | 4);
            out.extend_from_slice(&number.to_be_bytes());
        }
        Data::Map(members) => {
            out.push(7 << 5 | size(members.len()));
            for (key, value) in members {
                // Keys of over 28 bytes have their length less 29 in a byte behind.
                match key.len().checked_sub(29) {
                    None => out.push(2 << 5 | size(key.len())),
                    Some(more) => out.extend([2 << 5 | 29, u8::try_from(more).unwrap_or_default()]),
                }
                out.extend_from_slice(key.as_bytes());
                write(value, out);
            }
        }
        Data::List(elements) => {
            out.extend([size(elements.len()), 11 - 7]);
            for element in elements {
                write(element, out);
            }
        }
    }
}

/// A search tree of one path, with records of 24 bits, its data and its metadata.
fn database(kind: &str, network: Ipv4Addr, prefix: u8, entry: &Data) -> Vec<u8> {
    let nodes = u32::from(prefix);
    let address = u32::from(network);
    let mut out = Vec::new();
    for node in 0..nodes {
        let next = if node + 1 == nodes { nodes + 16 } else { node + 1 };
        let bit = address >> (31 - node) & 1;
        for side in [0, 1] {
            // A record equal to the number of nodes says that nothing is known.
            let record = if side == bit { next } else { nodes };
            out.extend(record.to_be_bytes().into_iter().skip(1));
        }
    }
    out.extend([0; 16]);
    write(entry, &mut out);
    out.extend_from_slice(b"\xab\xcd\xefMaxMind.com");
    let metadata = Data::Map(vec![
        ("node_count", Data::Number(nodes)),
        ("record_size", Data::Short(24)),
        ("ip_version", Data::Short(4)),
        ("database_type", Data::Text(kind.to_owned())),
        ("languages", Data::List(vec![Data::Text("en".to_owned())])),
        ("binary_format_major_version", Data::Short(2)),
        ("binary_format_minor_version", Data::Short(0)),
        ("build_epoch", Data::Long(1_780_000_000)),
        ("description", Data::Map(vec![("en", Data::Text("of a test".to_owned()))])),
    ]);
    write(&metadata, &mut out);
    out
}
