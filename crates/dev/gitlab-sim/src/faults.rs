//! Faults of the HTTP server: which request is answered wrongly, and how.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// A fault as `POST /_sim/v1/faults` takes it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct FaultRule {
    /// Which requests.
    #[serde(rename = "match")]
    pub matches: Match,
    /// The first one of them that is hit, counted from 1; when absent `every`, or else 1.
    #[serde(default)]
    pub nth: Option<u64>,
    /// From then on every so many are hit; when absent each one.
    #[serde(default)]
    pub every: Option<u64>,
    /// How many are hit; when absent one, with `every` all.
    #[serde(default)]
    pub times: Option<u64>,
    /// What happens, see [`Deed`].
    #[serde(rename = "do")]
    pub deed: String,
    /// Headers of the answer.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// Body of the answer.
    #[serde(default)]
    pub body: Option<String>,
    /// By which `DELETE faults?name=` forgets it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

/// Which requests a fault is for.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Match {
    /// Method; any when absent.
    pub method: Option<String>,
    /// Path below `/api/v4/`, or from the root when it begins with `/`; `*` is one segment, `**` the rest.
    pub path: Option<String>,
    /// A text that the request's body holds, such as a runner's token. Such a rule hits when the whole body was read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub holds: Option<String>,
}

impl FaultRule {
    /// Whether the matching request of that number, counted from 1, is hit.
    fn hits(&self, number: u64) -> bool {
        let step = self.every.unwrap_or(1).max(1);
        let first = self.nth.or(self.every).unwrap_or(1);
        let times = self.times.unwrap_or(if self.every.is_some() { u64::MAX } else { 1 });
        number.checked_sub(first).is_some_and(|after| after % step == 0 && after / step < times)
    }
}

/// What a fault does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Deed {
    /// `status:503`: answered so, and nothing is done.
    Status(u16),
    /// `done_status:503`: done, and answered so all the same.
    DoneStatus(u16),
    /// `delay:MS`: done after a pause.
    Delay(u64),
    /// `disconnect_after:N`: done, and the connection breaks after N bytes of the answer's body.
    DisconnectAfter(usize),
    /// `cut_request:N`: the connection breaks when N bytes of the request's body were read; nothing is done.
    CutRequest(usize),
    /// `hang`: not done and never answered.
    Hang,
    /// `hold`: done when the faults are taken back.
    Hold,
    /// `lose_answer`: done, and the connection breaks before the answer.
    LoseAnswer,
    /// `late_answer:MS`: done, and answered after a pause.
    LateAnswer(u64),
}

impl Deed {
    /// Reads the `do` of a rule.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let (word, number) = text.split_once(':').map_or((text, None), |(word, number)| (word, Some(number)));
        let status = || {
            let code = number.and_then(|number| number.parse::<u16>().ok()).filter(|code| (200..600).contains(code));
            code.ok_or_else(|| format!("do {text:?}: wants a status from 200 to 599, as in {word}:503"))
        };
        let size = || {
            number.and_then(|n| n.parse::<usize>().ok()).ok_or_else(|| format!("do {text:?}: wants {word}:<number>"))
        };
        match word {
            "status" => status().map(Self::Status),
            "done_status" => status().map(Self::DoneStatus),
            "delay" => size().map(|ms| Self::Delay(u64::try_from(ms).unwrap_or(u64::MAX))),
            "late_answer" => size().map(|ms| Self::LateAnswer(u64::try_from(ms).unwrap_or(u64::MAX))),
            "disconnect_after" => size().map(Self::DisconnectAfter),
            "cut_request" => size().map(Self::CutRequest),
            "hang" if number.is_none() => Ok(Self::Hang),
            "hold" if number.is_none() => Ok(Self::Hold),
            "lose_answer" if number.is_none() => Ok(Self::LoseAnswer),
            _ => Err(format!(
                "do {text:?} is not known: status:N, done_status:N, delay:MS, disconnect_after:N, cut_request:N, hang, hold, lose_answer, late_answer:MS"
            )),
        }
    }
}

/// A rule and how often it matched.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(try_from = "Counted")]
pub(crate) struct Fault {
    /// The rule.
    #[serde(flatten)]
    pub rule: FaultRule,
    /// What it does.
    #[serde(skip)]
    pub action: Deed,
    /// Requests that matched so far.
    pub seen: u64,
}

/// A [`Fault`] as it is written.
#[derive(Deserialize)]
struct Counted {
    #[serde(flatten)]
    rule: FaultRule,
    seen: u64,
}

impl TryFrom<Counted> for Fault {
    type Error = String;

    fn try_from(counted: Counted) -> Result<Self, String> {
        Ok(Self { seen: counted.seen, ..Self::new(counted.rule)? })
    }
}

impl Fault {
    /// Takes a rule.
    pub(crate) fn new(rule: FaultRule) -> Result<Self, String> {
        for (name, number) in [("nth", rule.nth), ("every", rule.every)] {
            if number == Some(0) {
                return Err(format!("{name} counts from 1"));
            }
        }
        let action = Deed::parse(&rule.deed)?;
        if rule.matches.holds.is_some() && matches!(action, Deed::CutRequest(_)) {
            return Err("cut_request cannot wait for what the body holds; leave one of both out".to_owned());
        }
        Ok(Self { rule, action, seen: 0 })
    }

    /// Counts the request; true when it is hit. Rules about what a body holds count it when that is there, the others before.
    fn hits(&mut self, method: &str, path: &str, body: Option<&[u8]>) -> bool {
        let matches = &self.rule.matches;
        let fits = matches.method.as_deref().is_none_or(|wanted| wanted.eq_ignore_ascii_case(method))
            && matches.path.as_deref().is_none_or(|pattern| path_fits(pattern, path))
            && match (&matches.holds, body) {
                (None, None) => true,
                (Some(text), Some(body)) => holds(body, text),
                _ => false,
            };
        if !fits {
            return false;
        }
        self.seen += 1;
        self.rule.hits(self.seen)
    }
}

/// The fault for this request: the first rule that hits. Every rule counts the request: without `body` those that are not
/// about what it holds, with it the others.
pub(crate) fn pick(faults: &mut [Fault], method: &str, path: &str, body: Option<&[u8]>) -> Option<Fault> {
    let mut chosen = None;
    for fault in faults {
        if fault.hits(method, path, body) && chosen.is_none() {
            chosen = Some(fault.clone());
        }
    }
    chosen
}

fn holds(body: &[u8], text: &str) -> bool {
    text.is_empty() || body.windows(text.len()).any(|part| part == text.as_bytes())
}

fn path_fits(pattern: &str, path: &str) -> bool {
    let whole;
    let pattern = if pattern.starts_with('/') {
        pattern
    } else {
        whole = format!("/api/v4/{pattern}");
        &whole
    };
    let mut wanted = pattern.split('/');
    let mut given = path.split('/');
    loop {
        match (wanted.next(), given.next()) {
            (None, None) => return true,
            (Some("**"), _) => return true,
            (Some(want), Some(have)) if want == "*" || want == have => {}
            _ => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths() {
        for (pattern, path, expected) in [
            ("jobs/*", "/api/v4/jobs/12", true),
            ("jobs/*", "/api/v4/jobs/12/trace", false),
            ("jobs/*/trace", "/api/v4/jobs/12/trace", true),
            ("jobs/**", "/api/v4/jobs/12/trace", true),
            ("jobs/request", "/api/v4/jobs/12", false),
            ("/acme/**", "/acme/widget.git/info/refs", true),
        ] {
            assert_eq!(path_fits(pattern, path), expected, "{pattern} {path}");
        }
    }

    fn rule(nth: Option<u64>, every: Option<u64>, times: Option<u64>) -> FaultRule {
        FaultRule {
            matches: Match { method: Some("PUT".into()), path: Some("jobs/*".into()), holds: None },
            nth,
            every,
            times,
            deed: "status:503".into(),
            headers: BTreeMap::new(),
            body: None,
            name: None,
        }
    }

    #[test]
    fn only_matching_requests_count() {
        let mut faults = [Fault::new(rule(Some(2), None, Some(2))).unwrap()];
        let mut hit = |method| pick(&mut faults, method, "/api/v4/jobs/1", None).is_some();
        assert_eq!([hit("PUT"), hit("GET"), hit("PUT"), hit("PUT"), hit("PUT")], [false, false, true, true, false]);
    }

    #[test]
    fn a_rule_about_a_body_waits_for_the_body() {
        let mut about = rule(None, None, None);
        about.matches.holds = Some("\"token\":\"a\"".into());
        let mut faults = [Fault::new(about).unwrap()];
        let mut hit =
            |body: Option<&str>| pick(&mut faults, "PUT", "/api/v4/jobs/1", body.map(str::as_bytes)).is_some();
        let seen = [None, Some("{}"), Some("{\"token\":\"ab\"}"), Some("{\"token\":\"a\"}"), Some("{\"token\":\"a\"}")];
        assert_eq!(seen.map(&mut hit), [false, false, false, true, false]);
        let mut cut = rule(None, None, None);
        (cut.matches.holds, cut.deed) = (Some("a".into()), "cut_request:1".into());
        assert!(Fault::new(cut).unwrap_err().contains("leave one of both out"));
    }

    #[test]
    fn nth_every_and_times() {
        for (nth, every, times, expected) in [
            (None, None, None, &[1][..]),
            (Some(3), None, None, &[3]),
            (None, None, Some(3), &[1, 2, 3]),
            (None, Some(3), None, &[3, 6, 9, 12]),
            (Some(2), Some(4), None, &[2, 6, 10]),
            (None, Some(3), Some(2), &[3, 6]),
            (None, Some(1), None, &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]),
            (None, None, Some(0), &[]),
        ] {
            let rule = rule(nth, every, times);
            let hit: Vec<u64> = (1..=12).filter(|number| rule.hits(*number)).collect();
            assert_eq!(hit, expected, "{nth:?} {every:?} {times:?}");
        }
    }

    #[test]
    fn a_fault_keeps_its_count_when_it_is_written_and_read() {
        let mut faults = [Fault::new(rule(None, Some(2), None)).unwrap()];
        let hit = |faults: &mut [Fault]| pick(faults, "PUT", "/api/v4/jobs/1", None).is_some();
        assert!(!hit(&mut faults));
        let text = serde_json::to_string(&faults).unwrap();
        let mut faults: Vec<Fault> = serde_json::from_str(&text).unwrap();
        assert_eq!([hit(&mut faults), hit(&mut faults), hit(&mut faults)], [true, false, true]);
    }

    #[test]
    fn deeds() {
        assert_eq!(Deed::parse("status:503"), Ok(Deed::Status(503)));
        assert_eq!(Deed::parse("delay:20"), Ok(Deed::Delay(20)));
        assert_eq!(Deed::parse("hang"), Ok(Deed::Hang));
        assert_eq!(Deed::parse("late_answer:20"), Ok(Deed::LateAnswer(20)));
        assert_eq!(Deed::parse("hold"), Ok(Deed::Hold));
        for bad in ["", "status", "status:99", "delay:x", "hang:1", "hold:1", "explode"] {
            assert!(Deed::parse(bad).is_err(), "{bad}");
        }
    }
}
