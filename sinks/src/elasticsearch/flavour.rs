//! Which product answers, and what it knows.

use std::fmt;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Product {
    Elasticsearch,
    Serverless,
    OpenSearch,
    Unknown,
}

/// A product and its version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Flavour {
    product: Product,
    version: (u32, u32),
}

impl Flavour {
    /// Nothing is known, so nothing special is used.
    pub(super) const UNKNOWN: Self = Self { product: Product::Unknown, version: (0, 0) };

    /// Reads the answer to `GET /`.
    pub(super) fn read(body: &[u8]) -> Self {
        let Ok(answer) = serde_json::from_slice::<serde_json::Value>(body) else { return Self::UNKNOWN };
        let text = |pointer: &str| answer.pointer(pointer).and_then(serde_json::Value::as_str);
        let Some(number) = text("/version/number") else { return Self::UNKNOWN };
        let mut parts = number.split(['.', '-']).map(|part| part.parse().unwrap_or(0));
        let version = (parts.next().unwrap_or(0), parts.next().unwrap_or(0));
        let product = if text("/version/distribution") == Some("opensearch") {
            Product::OpenSearch
        } else if text("/version/build_flavor") == Some("serverless") {
            Product::Serverless
        } else {
            Product::Elasticsearch
        };
        Self { product, version }
    }

    /// Elasticsearch has the parameter since 8.13; OpenSearch refuses it.
    pub(super) fn knows_require_data_stream(self) -> bool {
        match self.product {
            Product::Serverless => true,
            Product::Elasticsearch => self.version >= (8, 13),
            Product::OpenSearch | Product::Unknown => false,
        }
    }

    pub(super) fn is_opensearch(self) -> bool {
        self.product == Product::OpenSearch
    }

    /// Elastic's serverless offer: API keys only, no policies, lifecycles of data streams.
    pub(super) fn is_serverless(self) -> bool {
        self.product == Product::Serverless
    }

    pub(super) fn is_elasticsearch(self) -> bool {
        matches!(self.product, Product::Elasticsearch | Product::Serverless)
    }
}

impl fmt::Display for Flavour {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (major, minor) = self.version;
        match self.product {
            Product::Elasticsearch => write!(f, "Elasticsearch {major}.{minor}"),
            Product::Serverless => f.write_str("Elasticsearch (serverless)"),
            Product::OpenSearch => write!(f, "OpenSearch {major}.{minor}"),
            Product::Unknown => f.write_str("a product that does not tell its version"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Flavour;

    #[test]
    fn products_and_what_they_know() {
        for (body, name, knows) in [
            (r#"{"version":{"number":"8.12.2","build_flavor":"default"}}"#, "Elasticsearch 8.12", false),
            (r#"{"version":{"number":"8.13.0","build_flavor":"default"}}"#, "Elasticsearch 8.13", true),
            (r#"{"version":{"number":"9.1.0-SNAPSHOT"}}"#, "Elasticsearch 9.1", true),
            (
                r#"{"version":{"number":"8.11.0","build_flavor":"serverless"}}"#,
                "Elasticsearch (serverless)",
                true,
            ),
            (r#"{"version":{"number":"2.19.6","distribution":"opensearch"}}"#, "OpenSearch 2.19", false),
            (r#"{"version":{"number":"7.10.2","distribution":"opensearch"}}"#, "OpenSearch 7.10", false),
            ("<html>", "a product that does not tell its version", false),
            (r#"{"error":{"type":"security_exception"}}"#, "a product that does not tell its version", false),
        ] {
            let flavour = Flavour::read(body.as_bytes());
            assert_eq!(flavour.to_string(), name);
            assert_eq!(flavour.knows_require_data_stream(), knows, "{name}");
        }
    }
}
