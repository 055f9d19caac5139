//! What an answer means for a document, and for a request. Pure, and tested row by row.
//!
//! A wrong "rejected" empties a queue into the dead letters, a wrong "retry" repeats for ever, a wrong "delivered"
//! loses. So a 400 condemns a document only when its reason speaks of the document; when it speaks of the cluster
//! (out of shards, no pipeline, closed index) the stream waits; when it is unknown, it condemns only if other
//! documents of the same stream go in.

use http::StatusCode;
use tidegate_core::fault::FaultKind;

/// What happens to one document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is in.
    Delivered,
    /// It was in already: our id was known.
    Duplicate,
    /// Again, later.
    Retry(FaultKind),
    /// Nothing of this stream goes in until the block goes away, by itself (a disk has room again) or by an operator: the
    /// index takes no writes. A read-only index of a warm tier answers so for ever.
    Blocked,
    /// It can never go in.
    Rejected,
    /// It can never go in, if others of its stream go in; else the stream's trouble.
    Doubtful,
    /// Sent once more alone, then rejected.
    Alone,
    /// Nothing of this stream goes in until somebody acts.
    Fault(FaultKind),
}

/// Reasons of an `illegal_argument_exception` that speak of the document. They are looked for first, because they quote
/// field names and values, which may hold any of the other words.
const OF_THE_DOCUMENT: &[&str] = &[
    "malformed action",
    "immense term",
    "preview of field's value",
    "failed to parse",
    "mapper [",
    "object mapping",
    "can't merge",
    "cannot be changed from type",
    "[@timestamp]",
    "field name",
    "is out of range",
    "contains unknown or unsupported",
];

/// Reasons that speak of the cluster, the index or our configuration.
const OF_THE_CLUSTER: &[&str] = &[
    "shard",
    "cluster",
    "pipeline with id",
    "pipeline [",
    "no matching index template",
    "matches no data stream template",
    "data stream",
    "data_stream",
    "no write index",
    "write alias",
    "op_type",
    "unrecognized parameter",
    "closed",
    "licen",
];

/// Reasons for which a document is refused because of what the stream's mapping is: the document's fault only if others
/// go in.
const OF_THE_MAPPING: &[&str] = &["limit of total fields", "limit of mapping depth", "only accepts values"];

fn speaks(of: &[&str], reason: &str) -> bool {
    of.iter().any(|words| reason.contains(words))
}

/// Whether it says that the cluster or the index takes no writes.
pub(super) fn is_block(kind: &str) -> bool {
    kind.ends_with("_block_exception")
}

/// What takes a block away, by its reason: a full disk frees it by itself, others stay for ever.
pub(super) fn unblock(reason: &str) -> &'static str {
    let reason = reason.to_ascii_lowercase();
    if speaks(&["flood", "disk usage", "read-only-allow-delete", "read-only / allow delete"], &reason) {
        "free disk space: the block goes by itself then"
    } else if speaks(&["read-only", "index write"], &reason) {
        "roll the data stream over, so that it has an index that takes writes, or take the block off the index"
    } else {
        "free disk space, or take the block off the cluster or the index"
    }
}

/// The verdict on a document whose request, of it alone, was refused as a whole: a 400 condemns it at once only with a
/// reason that speaks of it. A proxy that refuses everything would else make a dead letter of everything.
pub(super) fn alone(whole: Whole, kind: &str, reason: &str) -> Verdict {
    match whole {
        Whole::Split(FaultKind::TooLarge) => Verdict::Rejected,
        _ => bad_request(kind, &reason.to_ascii_lowercase()),
    }
}

/// What an item's status, `error.type` and `error.reason` mean for its document.
pub(super) fn verdict(status: u16, kind: &str, reason: &str) -> Verdict {
    match status {
        200 | 201 => Verdict::Delivered,
        409 if kind.is_empty() || kind == "version_conflict_engine_exception" => Verdict::Duplicate,
        400 => bad_request(kind, &reason.to_ascii_lowercase()),
        // Formerly 403 for a full disk, now 429; both pass when somebody frees space.
        403 | 429 if is_block(kind) => Verdict::Blocked,
        401 => Verdict::Fault(FaultKind::Credential),
        403 => Verdict::Fault(FaultKind::Permission),
        404 => Verdict::Fault(FaultKind::Configuration),
        429 => Verdict::Retry(FaultKind::RateLimit),
        408 | 409 | 500..=599 => Verdict::Retry(FaultKind::Server),
        402 | 405..=499 => Verdict::Alone,
        // No status that an item can have: as if there were no receipt.
        _ => Verdict::Retry(FaultKind::Answer),
    }
}

fn bad_request(kind: &str, reason: &str) -> Verdict {
    match kind {
        // Two requests made the same index at the same time; the next one finds it.
        "resource_already_exists_exception" => return Verdict::Retry(FaultKind::Server),
        "index_closed_exception" | "invalid_index_name_exception" | "invalid_alias_name_exception" => {
            return Verdict::Fault(FaultKind::Configuration);
        }
        _ => {}
    }
    if speaks(OF_THE_MAPPING, reason) {
        return Verdict::Doubtful;
    }
    match kind {
        "strict_dynamic_mapping_exception"
        | "x_content_e_o_f_exception"
        | "json_e_o_f_exception"
        | "not_x_content_exception"
        | "action_request_validation_exception" => Verdict::Rejected,
        // document_parsing, mapper_parsing, x_content_parse, json_parse …: they quote the document, so their reason is
        // not looked at.
        _ if kind.ends_with("parsing_exception") || kind.ends_with("parse_exception") => Verdict::Rejected,
        "illegal_argument_exception" if speaks(OF_THE_DOCUMENT, reason) => Verdict::Rejected,
        _ if speaks(OF_THE_CLUSTER, reason) => Verdict::Fault(FaultKind::Configuration),
        _ => Verdict::Doubtful,
    }
}

/// What happens to a whole request that was not answered with items.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Whole {
    /// Look into the items.
    Items,
    /// Halve it; a single document is rejected.
    Split(FaultKind),
    /// Again, later.
    Retry(FaultKind),
    /// A person must help.
    Halt(FaultKind),
    /// The server does not know `require_data_stream`: again without it.
    WithoutRequireDataStream,
}

/// What a request's status, `error.type`, `error.reason` and whether a web page came back mean for all its documents.
pub(super) fn whole(status: StatusCode, kind: &str, reason: &str, page: bool) -> Whole {
    match status.as_u16() {
        200..=299 => Whole::Items,
        300..=399 => Whole::Halt(FaultKind::ForeignLink),
        400 => {
            let reason = reason.to_ascii_lowercase();
            if reason.contains("unrecognized parameter") && reason.contains("[require_data_stream]") {
                Whole::WithoutRequireDataStream
            } else if page || matches!(bad_request(kind, &reason), Verdict::Fault(_)) {
                // Halving this would make a dead letter of every document.
                Whole::Halt(FaultKind::Configuration)
            } else {
                Whole::Split(FaultKind::Configuration)
            }
        }
        403 | 429 if is_block(kind) => Whole::Retry(FaultKind::Server),
        401 => Whole::Halt(FaultKind::Credential),
        403 => Whole::Halt(FaultKind::Permission),
        413 => Whole::Split(FaultKind::TooLarge),
        429 => Whole::Retry(FaultKind::RateLimit),
        408 | 500..=599 => Whole::Retry(FaultKind::Server),
        _ => Whole::Halt(FaultKind::Configuration),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_of_the_item_table() {
        let shards = "Validation Failed: 1: this action would add [2] shards, but this cluster currently has [3000]/[3000] maximum normal shards open;";
        let immense = "Document contains at least one immense term in field=\"kubernetes.cluster.shards\" (whose UTF8 encoding is longer than the max length 32766), all of which were skipped.";
        let fault = Verdict::Fault(FaultKind::Configuration);
        for (status, kind, reason, want) in [
            (201, "", "", Verdict::Delivered),
            (200, "", "", Verdict::Delivered),
            (409, "version_conflict_engine_exception", "[x]: version conflict", Verdict::Duplicate),
            (409, "", "", Verdict::Duplicate),
            (409, "something_else", "", Verdict::Retry(FaultKind::Server)),
            (
                400,
                "document_parsing_exception",
                "[1:20] failed to parse field [a] of type [long]",
                Verdict::Rejected,
            ),
            (
                400,
                "mapper_parsing_exception",
                "failed to parse; preview: 'shards of the cluster'",
                Verdict::Rejected,
            ),
            (400, "strict_dynamic_mapping_exception", "mapping set to strict", Verdict::Rejected),
            (400, "illegal_argument_exception", immense, Verdict::Rejected),
            (
                400,
                "illegal_argument_exception",
                "mapper [a.shard] cannot be changed from type [long] to [keyword]",
                Verdict::Rejected,
            ),
            (
                400,
                "illegal_argument_exception",
                "data stream timestamp field [@timestamp] is missing",
                Verdict::Rejected,
            ),
            (400, "validation_exception", shards, fault),
            (400, "illegal_argument_exception", shards, fault),
            (400, "never_seen_exception", shards, fault),
            (400, "illegal_argument_exception", "pipeline with id [tidy] does not exist", fault),
            (
                400,
                "illegal_argument_exception",
                "only write ops with an op_type of create are allowed in data streams",
                fault,
            ),
            (
                400,
                "illegal_argument_exception",
                "no write index is defined for alias [logs-okta.system-acme]",
                fault,
            ),
            (400, "index_closed_exception", "closed", fault),
            (400, "invalid_index_name_exception", "Invalid index name [logs-A]", fault),
            (
                400,
                "resource_already_exists_exception",
                "index [.ds-1] already exists",
                Verdict::Retry(FaultKind::Server),
            ),
            (
                400,
                "illegal_argument_exception",
                "Limit of total fields [1000] has been exceeded",
                Verdict::Doubtful,
            ),
            (
                400,
                "document_parsing_exception",
                "[constant_keyword] field [data_stream.namespace] only accepts values that are equal to the value",
                Verdict::Doubtful,
            ),
            (400, "never_seen_exception", "no idea", Verdict::Doubtful),
            (400, "", "", Verdict::Doubtful),
            (404, "index_not_found_exception", "no such index", fault),
            (401, "security_exception", "unable to authenticate", Verdict::Fault(FaultKind::Credential)),
            (403, "security_exception", "is unauthorized", Verdict::Fault(FaultKind::Permission)),
            (
                403,
                "cluster_block_exception",
                "index [x] blocked by: [FORBIDDEN/8/index write (api)]",
                Verdict::Blocked,
            ),
            (
                403,
                "index_create_block_exception",
                "blocked by: [FORBIDDEN/10/cluster create-index blocked (api)]",
                Verdict::Blocked,
            ),
            (429, "cluster_block_exception", "disk usage exceeded flood-stage watermark", Verdict::Blocked),
            (
                429,
                "es_rejected_execution_exception",
                "rejected execution",
                Verdict::Retry(FaultKind::RateLimit),
            ),
            (
                429,
                "circuit_breaking_exception",
                "[parent] Data too large",
                Verdict::Retry(FaultKind::RateLimit),
            ),
            (500, "", "", Verdict::Retry(FaultKind::Server)),
            (502, "", "", Verdict::Retry(FaultKind::Server)),
            (
                503,
                "unavailable_shards_exception",
                "primary shard is not active",
                Verdict::Retry(FaultKind::Server),
            ),
            (504, "", "", Verdict::Retry(FaultKind::Server)),
            (408, "", "", Verdict::Retry(FaultKind::Server)),
            (405, "", "", Verdict::Alone),
            (413, "", "", Verdict::Alone),
            (422, "", "", Verdict::Alone),
            (0, "", "", Verdict::Retry(FaultKind::Answer)),
            (302, "", "", Verdict::Retry(FaultKind::Answer)),
        ] {
            assert_eq!(verdict(status, kind, reason), want, "{status} {kind} {reason}");
        }
    }

    #[test]
    fn a_block_is_named_with_what_takes_it_away() {
        let full = "index [x] blocked by: [TOO_MANY_REQUESTS/12/disk usage exceeded flood-stage watermark, index has read-only-allow-delete block];";
        let warm = "index [x] blocked by: [FORBIDDEN/5/index read-only (api)];";
        let write = "index [x] blocked by: [FORBIDDEN/8/index write (api)];";
        assert!(unblock(full).starts_with("free disk space: the block goes by itself"));
        assert!(unblock(warm).starts_with("roll the data stream over"));
        assert!(unblock(write).starts_with("roll the data stream over"));
        assert!(unblock("SERVICE_UNAVAILABLE/1/state not recovered").starts_with("free disk space, or"));
    }

    #[test]
    fn a_document_refused_alone_is_condemned_at_once_only_by_a_reason_that_speaks_of_it() {
        let (bad, large) = (Whole::Split(FaultKind::Configuration), Whole::Split(FaultKind::TooLarge));
        for (whole, kind, reason, want) in [
            (bad, "x_content_parse_exception", "Duplicate field 'a'", Verdict::Rejected),
            (bad, "not_x_content_exception", "Compressor detection", Verdict::Rejected),
            (bad, "illegal_argument_exception", "Malformed action/metadata line [3]", Verdict::Rejected),
            (bad, "", "blocked by policy", Verdict::Doubtful),
            (bad, "", "", Verdict::Doubtful),
            (large, "", "", Verdict::Rejected),
        ] {
            assert_eq!(alone(whole, kind, reason), want, "{kind} {reason}");
        }
    }

    #[test]
    fn every_row_of_the_request_table() {
        use FaultKind as K;
        let parameter = "request [/_bulk] contains unrecognized parameter: [require_data_stream]";
        for (status, kind, reason, page, want) in [
            (200, "", "", false, Whole::Items),
            (200, "", "", true, Whole::Items),
            (302, "", "", true, Whole::Halt(K::ForeignLink)),
            (400, "x_content_parse_exception", "Duplicate field 'a'", false, Whole::Split(K::Configuration)),
            (
                400,
                "x_content_parse_exception",
                "Duplicate field 'cluster.shards'",
                false,
                Whole::Split(K::Configuration),
            ),
            (
                400,
                "illegal_argument_exception",
                "Malformed action/metadata line [3], found [cluster]",
                false,
                Whole::Split(K::Configuration),
            ),
            (400, "", "", false, Whole::Split(K::Configuration)),
            (400, "", "The plain HTTP request was sent to HTTPS port", true, Whole::Halt(K::Configuration)),
            (400, "illegal_argument_exception", parameter, false, Whole::WithoutRequireDataStream),
            (
                400,
                "illegal_argument_exception",
                "pipeline with id [x] does not exist",
                false,
                Whole::Halt(K::Configuration),
            ),
            (
                400,
                "illegal_argument_exception",
                "request [/_bulk] contains unrecognized parameter: [pipeline]",
                false,
                Whole::Halt(K::Configuration),
            ),
            (401, "security_exception", "", false, Whole::Halt(K::Credential)),
            (403, "security_exception", "", false, Whole::Halt(K::Permission)),
            (403, "", "", true, Whole::Halt(K::Permission)),
            (403, "cluster_block_exception", "", false, Whole::Retry(K::Server)),
            (404, "", "", false, Whole::Halt(K::Configuration)),
            (405, "", "", false, Whole::Halt(K::Configuration)),
            (406, "", "", false, Whole::Halt(K::Configuration)),
            (408, "", "", false, Whole::Retry(K::Server)),
            (413, "", "", true, Whole::Split(K::TooLarge)),
            (415, "", "", false, Whole::Halt(K::Configuration)),
            (429, "es_rejected_execution_exception", "", false, Whole::Retry(K::RateLimit)),
            (429, "cluster_block_exception", "", false, Whole::Retry(K::Server)),
            (500, "", "", false, Whole::Retry(K::Server)),
            (502, "", "", true, Whole::Retry(K::Server)),
            (503, "", "", false, Whole::Retry(K::Server)),
            (504, "", "", false, Whole::Retry(K::Server)),
        ] {
            let status = StatusCode::from_u16(status).unwrap();
            assert_eq!(whole(status, kind, reason, page), want, "{status} {kind} {reason}");
        }
    }
}
