//! How a cluster is set up.

use chrono::TimeDelta;
use serde::{Deserialize, Serialize};

use crate::faults::{RandomFaults, ScriptedFault};

/// Which product answers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Flavour {
    /// Elasticsearch 8.
    Elasticsearch8,
    /// Elasticsearch 9.
    #[default]
    Elasticsearch9,
    /// Elastic's serverless offer.
    Serverless,
    /// OpenSearch 2.
    #[serde(rename = "opensearch2")]
    OpenSearch2,
    /// OpenSearch 3.
    #[serde(rename = "opensearch3")]
    OpenSearch3,
}

impl Flavour {
    /// Whether this is OpenSearch, of any version.
    pub fn is_opensearch(self) -> bool {
        matches!(self, Self::OpenSearch2 | Self::OpenSearch3)
    }
}

impl std::str::FromStr for Flavour {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Ok(match text {
            "elasticsearch8" => Self::Elasticsearch8,
            "elasticsearch9" | "elasticsearch" => Self::Elasticsearch9,
            "serverless" => Self::Serverless,
            "opensearch2" => Self::OpenSearch2,
            "opensearch3" | "opensearch" => Self::OpenSearch3,
            _ => {
                return Err(format!(
                    "unknown flavour {text}: elasticsearch8, elasticsearch9, serverless, opensearch2 or opensearch3"
                ));
            }
        })
    }
}

/// A cluster. `Default` is a healthy Elasticsearch 9 that asks for no credentials and stores everything.
#[derive(Debug, Clone)]
pub struct ElasticsearchConfig {
    /// Which product answers.
    pub flavour: Flavour,
    /// Accepted credentials; anybody may write where empty. Serverless accepts API keys alone, OpenSearch none.
    pub credentials: Vec<Credential>,
    /// The server's clock minus the true one.
    pub clock_offset: TimeDelta,
    /// Largest request body on the wire and after decompression; larger ones are a 413.
    pub max_bytes: usize,
    /// Where strings over 32,766 bytes are refused.
    pub immense_terms: ImmenseTerms,
    /// A mapping trouble goes into the failure store and is answered as a success. Elasticsearch alone has one.
    pub failure_store: bool,
    /// A document that is no strict JSON fails alone instead of sinking the request.
    pub invalid_json_fails_alone: bool,
    /// New data streams are refused: the cluster is out of shards.
    pub shard_limit: Option<ShardLimit>,
    /// Item verdicts to begin with.
    pub item_rules: Vec<ItemRule>,
    /// Faults to begin with.
    pub faults: Vec<ScriptedFault>,
    /// Faults at random.
    pub random_faults: Option<RandomFaults>,
}

impl Default for ElasticsearchConfig {
    fn default() -> Self {
        Self {
            flavour: Flavour::default(),
            credentials: Vec::new(),
            clock_offset: TimeDelta::zero(),
            max_bytes: 100 * 1024 * 1024,
            immense_terms: ImmenseTerms::default(),
            failure_store: false,
            invalid_json_fails_alone: false,
            shard_limit: None,
            item_rules: Vec::new(),
            faults: Vec::new(),
            random_faults: None,
        }
    }
}

/// What `Authorization` must hold.
#[derive(Clone)]
pub enum Credential {
    /// `ApiKey <base64 of id:key>`; the encoded form.
    ApiKey(String),
    /// `Basic`, decoded.
    Basic {
        /// User name.
        user: String,
        /// Password.
        password: String,
    },
    /// `Bearer <token>`.
    Bearer(String),
}

impl std::fmt::Debug for Credential {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::ApiKey(_) => "ApiKey",
            Self::Basic { .. } => "Basic",
            Self::Bearer(_) => "Bearer",
        })
    }
}

/// Where strings longer than Lucene's 32,766 bytes are refused (item 400).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ImmenseTerms {
    /// Nowhere.
    Accepted,
    /// In every field but these (dotted names), which are text or not indexed.
    AnywhereBut {
        /// The exempt fields.
        fields: Vec<String>,
        /// Longer strings (in characters) are kept out of the index and do no harm.
        ignore_above: Option<usize>,
    },
    /// In these fields (dotted names) only.
    In(Vec<String>),
}

impl Default for ImmenseTerms {
    fn default() -> Self {
        let fields = ["message", "event.original", "error.message", "error.stack_trace"];
        Self::AnywhereBut { fields: fields.map(str::to_owned).to_vec(), ignore_above: None }
    }
}

/// How a cluster without free shards refuses a new data stream.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ShardLimit {
    /// As `validation_exception`.
    #[default]
    Validation,
    /// As `illegal_argument_exception`.
    IllegalArgument,
}

/// A scripted verdict on single items.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ItemRule {
    /// Documents with one of these ids; any where empty.
    #[serde(default)]
    pub ids: Vec<String>,
    /// Only targets whose name contains this.
    #[serde(default)]
    pub index: String,
    /// Of the items that match, every n-th; 1 is each.
    #[serde(default = "each")]
    pub every: u64,
    /// How many items it strikes; 0 means until it is cleared.
    #[serde(default)]
    pub times: u64,
    /// Status of the item.
    pub status: u16,
    /// `error.type`; by default what belongs to the status.
    #[serde(default, rename = "type")]
    pub error_type: Option<String>,
    /// `error.reason`.
    #[serde(default)]
    pub reason: Option<String>,
    /// The item's `failure_store`, such as `failed`; Elasticsearch alone has it.
    #[serde(default)]
    pub failure_store: Option<String>,
}

fn each() -> u64 {
    1
}

impl ItemRule {
    /// Every matching item, until cleared.
    pub fn all(status: u16) -> Self {
        Self {
            ids: Vec::new(),
            index: String::new(),
            every: 1,
            times: 0,
            status,
            error_type: None,
            reason: None,
            failure_store: None,
        }
    }

    /// Only these documents, until cleared.
    pub fn ids(ids: &[&str], status: u16) -> Self {
        Self { ids: ids.iter().map(|id| (*id).to_owned()).collect(), ..Self::all(status) }
    }

    /// Every n-th item.
    pub fn every(n: u64, status: u16) -> Self {
        Self { every: n, ..Self::all(status) }
    }
}
