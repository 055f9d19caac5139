//! Places and networks of addresses, out of MaxMind's databases, for events whose vendor does not say them.
//!
//! Many published detections compare `source.geo` and `source.as`. What the vendor says stays; a database only fills
//! what is empty. Databases are read whole when the configuration is (a city database has about 60 MiB).

use crate::event::{Event, Geo};
use crate::json::Text;
use maxminddb::{MaxMindDbError, Reader, geoip2};
use std::borrow::Cow;
use std::fmt;
use std::net::IpAddr;
use std::path::Path;

/// The databases.
pub struct GeoIp {
    city: Option<Reader<Vec<u8>>>,
    asn: Option<Reader<Vec<u8>>>,
}

/// A database that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum GeoIpError {
    /// It cannot be read, or is no database.
    #[error("{path}: {cause}")]
    Unreadable {
        /// Its file.
        path: String,
        /// What its reader says.
        cause: MaxMindDbError,
    },
    /// It is one of another kind.
    #[error("{path}: is a database of the type {found}; wanted is one whose type ends with {wanted}")]
    WrongType {
        /// Its file.
        path: String,
        /// What it says it is.
        found: String,
        /// What it should be.
        wanted: &'static str,
    },
}

impl fmt::Debug for GeoIp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { city, asn } = self;
        let built = |reader: &Reader<Vec<u8>>| reader.metadata().build_epoch;
        f.debug_struct("GeoIp")
            .field("city", &city.as_ref().map(built))
            .field("asn", &asn.as_ref().map(built))
            .finish()
    }
}

impl GeoIp {
    /// Reads the databases of cities (`GeoLite2-City`, `GeoIP2-City`, or another whose type says so) and of autonomous
    /// systems (`GeoLite2-ASN`), whichever are there.
    ///
    /// # Errors
    /// A file cannot be read, or is something else.
    pub fn open(city: Option<&Path>, asn: Option<&Path>) -> Result<Self, GeoIpError> {
        Ok(Self {
            city: city.map(|path| read(path, "City")).transpose()?,
            asn: asn.map(|path| read(path, "ASN")).transpose()?,
        })
    }

    /// Fills what the event does not say of where it came from. An address that no database knows changes nothing.
    pub fn fill(&self, event: &mut Event<'_>) {
        let source = &mut event.source;
        let Some(ip) = source.ip.as_ref().and_then(|ip| ip.as_plain()?.parse::<IpAddr>().ok()) else {
            return;
        };
        let placed =
            source.geo.city.is_some() || source.geo.country.is_some() || source.geo.location.is_some();
        if let Some(found) = self.city.as_ref().filter(|_| !placed).and_then(|city| find(city, ip)) {
            place(&mut source.geo, &found);
        }
        if source.as_number.is_none() || source.as_organization.is_none() {
            let found: Option<geoip2::Asn<'_>> = self.asn.as_ref().and_then(|asn| find(asn, ip));
            let (number, name) = found
                .map(|found| (found.autonomous_system_number, found.autonomous_system_organization))
                .unwrap_or_default();
            // The name of another system than the vendor's own would be a contradiction.
            let number = number.map(i64::from);
            if source.as_number.is_none() || source.as_number == number {
                source.as_number = source.as_number.or(number);
                source.as_organization = source.as_organization.take().or_else(|| name.map(Text::owned));
            }
        }
    }
}

fn read(path: &Path, wanted: &'static str) -> Result<Reader<Vec<u8>>, GeoIpError> {
    let name = || path.display().to_string();
    let reader =
        Reader::open_readfile(path).map_err(|cause| GeoIpError::Unreadable { path: name(), cause })?;
    let found = &reader.metadata().database_type;
    if !found.ends_with(wanted) {
        return Err(GeoIpError::WrongType { path: name(), found: found.clone(), wanted });
    }
    Ok(reader)
}

/// A damaged entry is one that is not there: an address without a place is better than no document.
fn find<'r, T: serde::Deserialize<'r>>(reader: &'r Reader<Vec<u8>>, ip: IpAddr) -> Option<T> {
    reader.lookup(ip).ok()?.decode().ok()?
}

fn place(geo: &mut Geo<'_>, found: &geoip2::City<'_>) {
    let owned = |word: Option<&str>| word.filter(|word| !word.is_empty()).map(Text::owned);
    geo.city = owned(found.city.names.english);
    geo.region = geo.region.take().or_else(|| owned(found.subdivisions.first()?.names.english));
    geo.country = owned(found.country.names.english);
    geo.country_code = geo.country_code.take().or_else(|| owned(found.country.iso_code));
    geo.postal = geo.postal.take().or_else(|| owned(found.postal.code));
    let fits = |number: &f64, most: f64| number.is_finite() && number.abs() <= most;
    let lat = found.location.latitude.filter(|lat| fits(lat, 90.0));
    let lon = found.location.longitude.filter(|lon| fits(lon, 180.0));
    let spelled = |number: f64| Cow::Owned(number.to_string());
    geo.location = lat.zip(lon).map(|(lat, lon)| (spelled(lat), spelled(lon)));
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
mod tests {
    use super::*;
    use crate::event::Network;
    use crate::testkit::mmdb;

    fn databases() -> (tempfile::TempDir, GeoIp) {
        let dir = tempfile::tempdir().unwrap();
        let (city, asn) = (dir.path().join("city.mmdb"), dir.path().join("asn.mmdb"));
        std::fs::write(&city, mmdb::city("198.51.100.0".parse().unwrap(), 24)).unwrap();
        std::fs::write(&asn, mmdb::asn("198.51.100.0".parse().unwrap(), 24)).unwrap();
        let geoip = GeoIp::open(Some(&city), Some(&asn)).unwrap();
        (dir, geoip)
    }

    fn from(ip: &'static str) -> Event<'static> {
        let source = Network { ip: Some(Text::from_static(ip)), ..Network::default() };
        Event { source, ..Event::default() }
    }

    #[test]
    fn what_the_vendor_does_not_say_is_filled() {
        let (_dir, geoip) = databases();
        let mut event = from("198.51.100.77");
        geoip.fill(&mut event);
        let Network { geo, as_number, as_organization, .. } = event.source;
        assert_eq!(geo.city.unwrap().decode(), "Lindau");
        assert_eq!(geo.region.unwrap().decode(), "Bavaria");
        assert_eq!(
            (geo.country.unwrap().decode(), geo.country_code.unwrap().decode()),
            ("Germany".into(), "DE".into())
        );
        assert_eq!(geo.location, Some(("47.5".into(), "-9.25".into())));
        assert_eq!((as_number, as_organization.unwrap().decode()), (Some(64_500), "Example Net".into()));
    }

    #[test]
    fn what_the_vendor_says_stays() {
        let (_dir, geoip) = databases();
        let mut event = from("198.51.100.77");
        event.source.geo.city = Some(Text::from_static("Bregenz"));
        event.source.as_number = Some(64_501);
        geoip.fill(&mut event);
        assert_eq!(event.source.geo.city.unwrap().decode(), "Bregenz");
        assert_eq!((event.source.geo.country, event.source.as_number), (None, Some(64_501)));
        assert_eq!(event.source.as_organization, None);
    }

    #[test]
    fn an_address_that_no_database_knows_changes_nothing() {
        let (_dir, geoip) = databases();
        for ip in ["203.0.113.9", "2001:db8::1", "not an address"] {
            let mut event = from(ip);
            geoip.fill(&mut event);
            assert_eq!((event.source.geo.city, event.source.as_number), (None, None), "{ip}");
        }
    }

    #[test]
    fn a_damaged_database_is_refused_or_says_less_but_never_stops_a_record() {
        let (dir, _) = databases();
        let (city, asn) = (dir.path().join("damaged-city.mmdb"), dir.path().join("damaged-asn.mmdb"));
        let network = "198.51.100.0".parse().unwrap();
        let (whole_city, whole_asn) = (mmdb::city(network, 24), mmdb::asn(network, 24));
        let ask = |cities: &[u8], systems: &[u8]| {
            std::fs::write(&city, cities).unwrap();
            std::fs::write(&asn, systems).unwrap();
            let one = GeoIp::open(Some(&city), None);
            let other = GeoIp::open(None, Some(&asn));
            for geoip in one.iter().chain(&other) {
                for ip in ["198.51.100.77", "203.0.113.9", "255.255.255.255", "2001:db8::1", "::"] {
                    geoip.fill(&mut from(ip));
                }
            }
        };
        for whole in [&whole_city, &whole_asn] {
            for end in 0..whole.len() {
                ask(&whole[..end], &whole[..end]);
            }
        }
        for at in 0..whole_city.len().max(whole_asn.len()) {
            for bits in [0x01, 0x20, 0x80, 0xff] {
                let [mut cities, mut systems] = [whole_city.clone(), whole_asn.clone()];
                cities.get_mut(at).into_iter().chain(systems.get_mut(at)).for_each(|byte| *byte ^= bits);
                ask(&cities, &systems);
            }
        }
    }

    #[test]
    fn a_file_that_is_no_such_database_is_named() {
        let (dir, _) = databases();
        let city = dir.path().join("city.mmdb");
        let error = GeoIp::open(None, Some(&city)).unwrap_err().to_string();
        assert!(error.contains("city.mmdb: is a database of the type Tidegate-City"), "{error}");
        let missing = dir.path().join("none.mmdb");
        assert!(GeoIp::open(Some(&missing), None).unwrap_err().to_string().contains("none.mmdb"));
        std::fs::write(&missing, b"no database").unwrap();
        assert!(GeoIp::open(Some(&missing), None).is_err());
    }
}
