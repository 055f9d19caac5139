//! Which resource a request means, whether it may be read, and the page it gets.

use bytes::{Bytes, BytesMut};
use chrono::{DateTime, TimeDelta, Utc};
use http::{Method, Request, StatusCode};
use serde_json::{Value, json};

use super::access::Access;
use super::config::{AUDIT_LOG_READ, Licence, POLICY_READ, RISK_READ, Tenant};
use super::filter::{Rules, nanos};
use super::login::instance_discovery;
use super::problem::{Ids, Problem, Refused};
use super::query::{Query, SkipToken};
use super::store::{Ask, Row, Seen};
use super::streams::{INTERACTIVE, Resource};
use super::view::View;
use super::{Entra, Inner};
use crate::answer::Answer;
use crate::faults::Fault;
use crate::rng::mix;

/// A request, and what is to happen to it.
pub(super) struct Call<'a> {
    pub(super) request: &'a Request<Bytes>,
    pub(super) segments: &'a [&'a str],
    pub(super) fault: Option<&'a Fault>,
    pub(super) ids: &'a Ids,
    pub(super) now: DateTime<Utc>,
}

impl Call<'_> {
    fn is(&self, fault: &Fault) -> bool {
        self.fault == Some(fault)
    }
}

/// What a bad day looks like, for random faults without a list.
pub(super) fn usual_faults() -> [Fault; 12] {
    [
        Fault::ServerError,
        Fault::Unavailable,
        Fault::BadGateway,
        Fault::GatewayTimeout,
        Fault::RateLimited { reset_s: 0, retry_after_s: Some(2), duplicate_reset: false },
        Fault::RateLimited { reset_s: 0, retry_after_s: None, duplicate_reset: false },
        Fault::Unauthorized,
        Fault::CutBody { after: None },
        Fault::TruncatedGzip,
        Fault::DropBeforeAnswer,
        Fault::DuplicatePage,
        Fault::EmptyPage,
    ]
}

impl Entra {
    pub(super) fn answer(&self, inner: &mut Inner, call: &Call<'_>) -> Answer {
        let base = self.shared.desk.base(call.request);
        let is_graph = call.segments.first().is_some_and(|version| {
            version.eq_ignore_ascii_case("v1.0") || version.eq_ignore_ascii_case("beta")
        });
        if let Some(answer) = call.fault.and_then(|fault| plain_fault(fault, is_graph)) {
            return answer;
        }
        if !is_graph {
            return self.login(inner, call, &base);
        }
        let mut answer = match self.graph(inner, call, &base) {
            Ok(answer) => answer,
            Err(problem) => {
                let odd = self.happens(inner, 0x6f64, self.shared.config.quirks.odd_errors);
                problem.answer(call.ids, odd, call.now)
            }
        };
        answer.set(
            "x-ms-ags-diagnostic",
            r#"{"ServerInfo":{"DataCenter":"West Europe","Slice":"E","Ring":"5","ScaleUnit":"001","RoleInstance":"AM0PEPF0000001"}}"#,
        );
        let beta = call.segments.first().is_some_and(|version| version.eq_ignore_ascii_case("beta"));
        if beta && self.shared.config.quirks.deprecation_links {
            answer.set("deprecation", "Fri, 01 Aug 2025 23:59:59 GMT");
            answer.add("link", "<https://developer.example.com/graph/changes?$filterby=beta>;rel=\"deprecation\";type=\"text/html\"");
        }
        answer
    }

    fn login(&self, inner: &mut Inner, call: &Call<'_>, base: &str) -> Answer {
        let config = &self.shared.config;
        let refused = match (call.segments, call.fault.and_then(login_fault)) {
            (_, Some(refused)) => refused,
            (["metadata", "identity", "oauth2", "token"], _) => {
                return managed(inner.login.managed_identity(call.request, false, base, config, call.now));
            }
            (["msi", "token"], _) => {
                return managed(inner.login.managed_identity(call.request, true, base, config, call.now));
            }
            ([tenant, "oauth2", "v2.0", "token"], _) => {
                match inner.login.token(call.request, tenant, base, config, call.now) {
                    Ok(mut answer) => {
                        answer.set("cache-control", "no-store, no-cache");
                        return answer;
                    }
                    Err(refused) => refused,
                }
            }
            ([_, "discovery", "instance"], _) => return instance_discovery(base),
            ([tenant, "v2.0", ".well-known", "openid-configuration"], _) => {
                match inner.login.openid_configuration(tenant, base) {
                    Some(answer) => return answer,
                    None => Refused::invalid_request(90_002, format!("Tenant '{tenant}' not found.")),
                }
            }
            _ => return Answer::html(StatusCode::NOT_FOUND),
        };
        let mut answer = refused.answer(mix(config.seed, inner.answers), &call.ids.client, call.now);
        if let Some(Fault::RateLimited { retry_after_s: Some(seconds), .. }) = call.fault {
            answer.set("retry-after", &seconds.to_string());
        }
        answer
    }

    /// A throw of the dice for this request.
    fn happens(&self, inner: &Inner, salt: u64, share: f64) -> bool {
        let number = mix(mix(self.shared.config.seed, salt), inner.answers);
        ((number >> 11) as f64 / (1_u64 << 53) as f64) < share
    }

    fn graph(&self, inner: &mut Inner, call: &Call<'_>, base: &str) -> Result<Answer, Problem> {
        let config = &self.shared.config;
        let (version, resource, id) = match call.segments {
            [version, area, name] => (*version, Resource::find(area, name), None),
            [version, area, name, id] => (*version, Resource::find(area, name), Some(*id)),
            _ => return Err(Problem::not_found()),
        };
        if call.is(&Fault::ClaimsChallenge)
            && let Some(problem) = inner.login.tokens.challenge_bearer(call.request.headers(), call.now)
        {
            return Err(problem);
        }
        if let Some(problem) = call.fault.and_then(graph_fault) {
            return Err(problem);
        }
        let access = inner.login.tokens.access(call.request.headers(), call.now)?;
        let resource = resource
            .filter(|resource| !(resource.is_risk() && config.without_identity_protection))
            .ok_or_else(Problem::not_found)?;
        if call.request.method() != Method::GET {
            return Err(Problem::new(
                StatusCode::METHOD_NOT_ALLOWED,
                "Request_BadRequest",
                "Specified HTTP method is not allowed for the request target.",
            ));
        }
        self.within_limits(inner, resource, &access, call.now)?;
        let tenant = inner
            .login
            .tenant(&access.tenant)
            .cloned()
            .ok_or_else(|| Problem::unauthorized("Invalid tenant."))?;
        self.may_read(inner, resource, &access, &tenant)?;
        let prefer = call.request.headers().get_all("prefer");
        let newer = prefer
            .iter()
            .any(|value| value.to_str().is_ok_and(|value| value.contains("include-unknown-enum-members")));
        let view = View {
            v1: version.eq_ignore_ascii_case("v1.0"),
            old_enums: !newer,
            without_policies: !access.may(POLICY_READ),
            hidden_risk: tenant.licence != Licence::P2,
            select: None,
        };
        let reading = Reading { tenant: &tenant, resource, view };
        match id {
            Some(id) => self.one(inner, call, &reading, id, base),
            None => self.list(inner, call, reading, base),
        }
    }

    fn within_limits(
        &self,
        inner: &mut Inner,
        resource: Resource,
        access: &Access,
        now: DateTime<Utc>,
    ) -> Result<(), Problem> {
        let (limits, foreign, now) =
            (self.shared.config.limits, self.shared.config.foreign, now.timestamp_millis());
        if resource.is_risk() {
            return match inner.buckets.identity_protection(&access.tenant, limits, foreign, now) {
                true => Ok(()),
                false => Err(Problem::throttled(None)),
            };
        }
        match inner.buckets.report((&access.app, &access.tenant), limits, foreign, now) {
            None => Ok(()),
            Some(seconds) => Err(Problem::throttled(u64::try_from(seconds).ok())),
        }
    }

    fn may_read(
        &self,
        inner: &Inner,
        resource: Resource,
        access: &Access,
        tenant: &Tenant,
    ) -> Result<(), Problem> {
        let quirks = &self.shared.config.quirks;
        let missing = |code, role: &str| {
            Err(Problem::new(
                StatusCode::FORBIDDEN,
                code,
                format!(
                    "The principal does not have required Microsoft Graph permission(s): {role} to call this API."
                ),
            ))
        };
        if resource.is_risk() {
            if !access.may(RISK_READ) {
                return missing("Authorization_RequestDenied", RISK_READ);
            }
            let licensed = tenant.licence != Licence::Free
                && (resource != Resource::ServicePrincipalRiskDetections || tenant.workload_premium);
            return if licensed { Ok(()) } else { Err(Problem::unlicensed()) };
        }
        let narrow = resource == Resource::Provisioning && access.may("ProvisioningLog.Read.All");
        if !access.may(AUDIT_LOG_READ) && !narrow {
            return missing("Authentication_MSGraphPermissionMissing", AUDIT_LOG_READ);
        }
        let directory = quirks.directory_role_needed && resource == Resource::SignIns;
        if directory && !access.may("Directory.Read.All") {
            return missing("Authentication_MSGraphPermissionMissing", "Directory.Read.All");
        }
        let spurious =
            resource == Resource::SignIns && self.happens(inner, 0x7370, quirks.spurious_unlicensed);
        let unlicensed = tenant.licence == Licence::Free && resource != Resource::DirectoryAudits;
        if unlicensed || spurious { Err(Problem::unlicensed()) } else { Ok(()) }
    }

    /// How far back a stream of this resource can be read. Where its streams differ, the longest.
    fn oldest(&self, reading: &Reading<'_>, now: DateTime<Utc>) -> DateTime<Utc> {
        let configured = super::STREAMS
            .iter()
            .filter(|stream| stream.resource == reading.resource)
            .filter_map(|stream| self.shared.config.retention.get(stream.name).copied())
            .max();
        now - configured.unwrap_or_else(|| reading.resource.retention(reading.tenant.licence))
    }

    fn one(
        &self,
        inner: &mut Inner,
        call: &Call<'_>,
        reading: &Reading<'_>,
        id: &str,
        base: &str,
    ) -> Result<Answer, Problem> {
        let oldest = nanos(self.oldest(reading, call.now));
        let found = inner
            .store(&reading.tenant.id, reading.resource)
            .and_then(|store| store.get(id, oldest, nanos(call.now)))
            .filter(|(stream, _)| !reading.view.v1 || stream.kind.is_none_or(|kind| kind == INTERACTIVE));
        let (_, seen) = found.ok_or_else(Problem::not_found)?;
        let row = reading.view.show(reading.resource, &seen.raw);
        inner.served += 1;
        let mut body = BytesMut::from(
            format!("{{\"@odata.context\":{}", json!(reading.context(base, "/$entity"))).as_bytes(),
        );
        // The rest of an object: its members, or none.
        let rest = row.get(1..).unwrap_or_default();
        if rest.trim_ascii_start() != b"}" {
            body.extend_from_slice(b",");
        }
        body.extend_from_slice(rest);
        Ok(odata(body.freeze()))
    }

    fn list(
        &self,
        inner: &mut Inner,
        call: &Call<'_>,
        mut reading: Reading<'_>,
        base: &str,
    ) -> Result<Answer, Problem> {
        let config = &self.shared.config;
        let (resource, now) = (reading.resource, call.now);
        let oldest = self.oldest(&reading, now);
        let rules = Rules {
            resource,
            beta: !reading.view.v1,
            quirks: &config.quirks,
            // A request takes time: the vendor's clock is not read to the second.
            oldest: oldest - TimeDelta::seconds(1),
        };
        let query = Query::parse(call.request.uri().query().unwrap_or_default(), rules, config.seed, now)?;
        if query.token.is_some() && call.is(&Fault::CursorRefused) {
            return Err(Problem::skip_token("Invalid Skip Token."));
        }
        reading.view.select.clone_from(&query.select);
        let salt = query.token.map_or_else(|| mix(config.seed, inner.answers), |token| token.salt);
        let start = query.token.and_then(|token| token.after);
        let field = resource.times().get(query.field).copied().unwrap_or_default();
        let mut range =
            query.filter.as_ref().map_or((i64::MIN, i64::MAX), |filter| filter.range(field, resource));
        if query.field == 0 {
            range.0 = range.0.max(nanos(oldest));
        }
        let names_kind = query.filter.as_ref().is_some_and(|filter| filter.names_kind);
        let oldest = nanos(oldest);
        let matches = |row: &Row<'_>| {
            row.times.first().is_some_and(|time| *time >= oldest)
                && (names_kind || row.kind.is_none_or(|kind| kind == INTERACTIVE))
                && query.filter.as_ref().is_none_or(|filter| filter.matches(row, resource))
        };
        let Some(store) = inner.store(&reading.tenant.id, resource) else { return Err(Problem::not_found()) };
        if config.quirks.timeout_rows.is_some_and(|most| store.width(query.field, range) > most) {
            return Err(timed_out());
        }
        let ask = |after, most| Ask {
            field: query.field,
            descending: query.descending,
            range,
            after,
            salt,
            most,
            now: nanos(now),
            matches: &matches,
        };
        let shown =
            |found: &[&Seen]| found.iter().map(|seen| reading.view.show(resource, &seen.raw)).collect();
        let empty = call.is(&Fault::EmptyPage) || self.happens(inner, 0x656d, config.quirks.empty_pages);
        let (rows, next): (Vec<Bytes>, _) = match query.token {
            _ if empty => (Vec::new(), Some(start)),
            Some(token) if call.is(&Fault::DuplicatePage) => {
                (shown(&store.find(&ask(token.before, query.top)).rows), Some(start))
            }
            _ => {
                let most = if call.is(&Fault::OversizePage) { query.top * 2 } else { query.top };
                let found = store.find(&ask(start, most));
                (shown(&found.rows), found.next.map(Some))
            }
        };
        inner.served += rows.len() as u64;
        self.shared.desk.notices.events(call.request.uri().path(), rows.len() as u64);
        let asked = call.request.uri().query().map(|query| format!("?{query}")).unwrap_or_default();
        let here = format!("{base}/{}{asked}", reading.path());
        let next = next.map(|after| {
            let token = SkipToken {
                after,
                before: start,
                salt: if config.quirks.reorder_within_walk { mix(salt, inner.answers) } else { salt },
                number: inner.answers,
                issued: now.timestamp_millis(),
            };
            format!("{base}/{}?{}", reading.path(), query.next_link(config.seed, token))
        });
        let next = match call.fault {
            Some(Fault::NoNextLink) => None,
            Some(Fault::LinkLoop) => Some(here),
            Some(Fault::ForeignLink { base: foreign }) => next.map(|next| next.replacen(base, foreign, 1)),
            Some(Fault::BrokenLink) => Some(format!("{base}/{}?{}", reading.path(), query.link(""))),
            _ => next,
        };
        if call.is(&Fault::WrongEnvelope) {
            return Ok(Answer::json(StatusCode::OK, &json!({"value": {"count": rows.len()}})));
        }
        Ok(odata(envelope(&reading.context(base, ""), next.as_deref(), &rows)))
    }
}

/// What is read, and how.
struct Reading<'a> {
    tenant: &'a Tenant,
    resource: Resource,
    view: View,
}

impl Reading<'_> {
    fn version(&self) -> &'static str {
        if self.view.v1 { "v1.0" } else { "beta" }
    }

    fn path(&self) -> String {
        let (area, name) = self.resource.segments();
        format!("{}/{area}/{name}", self.version())
    }

    fn context(&self, base: &str, suffix: &str) -> String {
        let (area, name) = self.resource.segments();
        format!("{base}/{}/$metadata#{area}/{name}{suffix}", self.version())
    }
}

fn envelope(context: &str, next: Option<&str>, rows: &[Bytes]) -> Bytes {
    let length = rows.iter().map(|row| row.len() + 1).sum::<usize>() + 1_024;
    let mut body = BytesMut::with_capacity(length);
    body.extend_from_slice(format!("{{\"@odata.context\":{}", json!(context)).as_bytes());
    if let Some(next) = next {
        body.extend_from_slice(format!(",\"@odata.nextLink\":{}", json!(next)).as_bytes());
    }
    body.extend_from_slice(b",\"value\":[");
    for (number, row) in rows.iter().enumerate() {
        if number > 0 {
            body.extend_from_slice(b",");
        }
        body.extend_from_slice(row);
    }
    body.extend_from_slice(b"]}");
    body.freeze()
}

fn odata(body: Bytes) -> Answer {
    let mut answer = Answer::with_type(
        StatusCode::OK,
        "application/json;odata.metadata=minimal;odata.streaming=true;IEEE754Compatible=false;charset=utf-8",
        body,
    );
    answer.set("odata-version", "4.0");
    answer.set("cache-control", "no-cache");
    answer
}

fn managed(result: Result<Answer, &'static str>) -> Answer {
    result.unwrap_or_else(|description| {
        let body: Value = json!({"error": "invalid_request", "error_description": description});
        Answer::json(StatusCode::BAD_REQUEST, &body)
    })
}

fn timed_out() -> Problem {
    Problem::new(StatusCode::GATEWAY_TIMEOUT, "UnknownError", "")
}

/// Faults that look the same whoever is asked.
fn plain_fault(fault: &Fault, is_graph: bool) -> Option<Answer> {
    Some(match fault {
        Fault::Exchange(exchange) => exchange.answer()?,
        Fault::TooLarge => Answer::html(StatusCode::PAYLOAD_TOO_LARGE),
        Fault::BadGateway => Answer::html(StatusCode::BAD_GATEWAY),
        Fault::DropUnprocessed => Answer::dropped(),
        Fault::HtmlPage => Answer::html(StatusCode::OK),
        Fault::WrongEnvelope if !is_graph => Answer::json(StatusCode::OK, &json!(["access_token"])),
        _ => return None,
    })
}

fn graph_fault(fault: &Fault) -> Option<Problem> {
    let problem = |status, code| Problem::new(status, code, "The server cannot answer the request now.");
    Some(match fault {
        Fault::RateLimited { retry_after_s, .. } => Problem::throttled(*retry_after_s),
        Fault::Concurrency { .. } => Problem { code: "activityLimitReached", ..Problem::throttled(None) },
        Fault::Unauthorized | Fault::ClaimsChallenge => {
            Problem::unauthorized("Lifetime validation failed, the token is expired.")
        }
        Fault::Forbidden => problem(StatusCode::FORBIDDEN, "Forbidden"),
        Fault::Unlicensed => Problem::unlicensed(),
        Fault::NotFound => Problem::not_found(),
        Fault::ServerError => problem(StatusCode::INTERNAL_SERVER_ERROR, "generalException"),
        Fault::Unavailable => {
            Problem { retry_after: Some(1), ..problem(StatusCode::SERVICE_UNAVAILABLE, "ServiceUnavailable") }
        }
        Fault::GatewayTimeout => timed_out(),
        _ => return None,
    })
}

fn login_fault(fault: &Fault) -> Option<Refused> {
    Some(match fault {
        Fault::RateLimited { .. } | Fault::Concurrency { .. } => {
            Refused::transient(StatusCode::TOO_MANY_REQUESTS, 90_055)
        }
        Fault::Unauthorized => Refused::invalid_client(7_000_215, "Invalid client secret provided."),
        Fault::Forbidden => {
            Refused::bad("access_denied", 53_003, "Access has been blocked by Conditional Access policies.")
        }
        Fault::NotFound => Refused::invalid_request(90_002, "Tenant not found."),
        Fault::ServerError => Refused::transient(StatusCode::INTERNAL_SERVER_ERROR, 90_025),
        Fault::Unavailable => Refused::transient(StatusCode::SERVICE_UNAVAILABLE, 90_033),
        Fault::GatewayTimeout => Refused::transient(StatusCode::GATEWAY_TIMEOUT, 90_033),
        _ => return None,
    })
}
