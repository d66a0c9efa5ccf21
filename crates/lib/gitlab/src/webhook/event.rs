//! The body of a hook, read into an event.

use runnerless_core::id::JobKey;
use runnerless_core::job::{JobEvent, JobFacts, Taker};
use runnerless_core::status::JobStatus;
use runnerless_core::time::Timestamp;
use serde::Deserialize;
use serde_json::Value;

use super::field::{Wrong, cut, id, object, text, time, whole};
use super::instance::Instance;

/// Most characters of a job's name and stage that are kept: GitLab's own limit for both.
const NAME_CHARS: usize = 255;
/// Most characters of a ref that are kept; git's own limit for a path is four times as long, GitLab's column shorter.
const REF_CHARS: usize = 1024;
/// Most characters of a project's path that are kept: GitLab nests twenty groups of at most 255 characters.
const PATH_CHARS: usize = 21 * 256;
/// Most characters of a status or of an event's kind that are kept; GitLab's longest is under thirty.
const WORD_CHARS: usize = 64;

/// What a hook told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A job changed its status (`object_kind` is `build`).
    Job(Box<JobEvent>),
    /// Another kind of event, which is not ours: a hook may have more boxes ticked than "Job events".
    Other {
        /// GitLab's name of the kind, at most 64 characters.
        kind: String,
    },
}

/// A body that is no event of GitLab's, or a job event that lacks what we act on.
#[derive(Debug, thiserror::Error)]
pub enum BadPayload {
    /// Not JSON, nested deeper than 128 levels in a field that we read, or with such a field given twice.
    #[error("the body is no JSON that can be read; a custom webhook template must keep GitLab's own fields")]
    Json(#[source] serde_json::Error),
    /// A field that we act on (or the body itself) is missing or of another type.
    #[error("field {field} {wrong}; a custom webhook template must keep GitLab's own fields")]
    Field {
        /// The field's name on the wire.
        field: &'static str,
        /// What is wrong with it.
        wrong: Wrong,
    },
}

impl BadPayload {
    /// The field that is wrong; `body` for the whole.
    #[must_use]
    pub const fn field(&self) -> &'static str {
        match self {
            Self::Json(_) => "body",
            Self::Field { field, .. } => field,
        }
    }
}

/// The fields that we read. Each is any JSON until it is used, so that an error can name it; all others are skipped
/// without being kept.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Body {
    object_kind: Value,
    event_name: Value,
    build_id: Value,
    build_name: Value,
    build_stage: Value,
    build_status: Value,
    build_created_at: Value,
    build_created_at_iso: Value,
    #[serde(rename = "ref")]
    git_ref: Value,
    retries_count: Value,
    project_id: Value,
    project: Value,
    repository: Value,
    runner: Value,
}

/// Reads the body of a hook of `instance`.
///
/// # Errors
/// A body that is no JSON object, or a job event without id, name, status or project.
pub fn read(body: &[u8], instance: &Instance) -> Result<Event, BadPayload> {
    // A list would be taken for the fields in their order.
    if body.trim_ascii_start().first() != Some(&b'{') {
        return Err(named("body")(Wrong::NotAnObject));
    }
    let body: Body = serde_json::from_slice(body).map_err(BadPayload::Json)?;
    // System hooks name some of their events by `event_name` alone.
    let kind = text(&body.object_kind).or_else(|_| text(&body.event_name)).map_err(named("object_kind"))?;
    if kind == "build" {
        return Ok(Event::Job(Box::new(job(&body, instance)?)));
    }
    Ok(Event::Other { kind: cut(kind, WORD_CHARS) })
}

fn named(field: &'static str) -> impl FnOnce(Wrong) -> BadPayload {
    move |wrong| BadPayload::Field { field, wrong }
}

fn job(body: &Body, instance: &Instance) -> Result<JobEvent, BadPayload> {
    let key = JobKey {
        project: id(&body.project_id).map_err(named("project_id"))?,
        job: id(&body.build_id).map_err(named("build_id"))?,
    };
    let status = text(&body.build_status).map_err(named("build_status"))?;
    let name = text(&body.build_name).map_err(named("build_name"))?;
    let facts = JobFacts {
        name: cut(name, NAME_CHARS),
        stage: cut(text(&body.build_stage).unwrap_or_default(), NAME_CHARS),
        git_ref: cut(text(&body.git_ref).unwrap_or_default(), REF_CHARS),
        project_path: cut(&project_path(body, instance), PATH_CHARS),
        // Absent before GitLab 15.7. More retries than a u32 counts are as many as it counts.
        retries: whole(&body.retries_count).map_or(0, |count| u32::try_from(count).unwrap_or(u32::MAX)),
    };
    Ok(JobEvent {
        key,
        status: JobStatus::parse(&cut(status, WORD_CHARS)),
        facts,
        created_at: created_at(body),
        runner: object(&body.runner, "id").and_then(|value| id(value).ok()).map(Taker::stranger),
    })
}

/// The newer field is unambiguous; the older one comes in two formats. A time that cannot be read is no reason to lose
/// the job: it only guards against hooks that are sent again weeks later.
fn created_at(body: &Body) -> Option<Timestamp> {
    time(&body.build_created_at_iso).or_else(|| time(&body.build_created_at))
}

/// `project.path_with_namespace`; before GitLab 16 the path of the repository's page. Empty when the body says neither.
fn project_path(body: &Body, instance: &Instance) -> String {
    let path = object(&body.project, "path_with_namespace").and_then(|value| text(value).ok());
    if let Some(path) = path {
        return path.trim_matches('/').to_owned();
    }
    let pages = [object(&body.project, "web_url"), object(&body.repository, "homepage")];
    let page = pages.into_iter().flatten().find_map(|value| text(value).ok());
    page.and_then(|url| instance.path_of(url)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn instance() -> Instance {
        Instance::parse("https://gitlab.example.com").unwrap()
    }

    fn hook() -> Value {
        json!({
            "object_kind": "build", "ref": "main", "tag": false, "retries_count": 2,
            "build_id": 5_000_000_001_u64, "build_name": "unit 1/2", "build_stage": "test", "build_status": "pending",
            "build_created_at": "2026-09-14 08:15:30 UTC", "build_created_at_iso": "2026-09-14T08:15:30Z",
            "runner": null, "project_id": 41, "user": {"id": 3},
            "repository": {"homepage": "https://gitlab.example.com/acme/widgets"},
            "project": {"path_with_namespace": "acme/widgets", "web_url": "https://gitlab.example.com/acme/widgets"},
        })
    }

    fn read_json(body: &Value) -> Result<Event, BadPayload> {
        read(body.to_string().as_bytes(), &instance())
    }

    fn job_of(body: &Value) -> JobEvent {
        match read_json(body) {
            Ok(Event::Job(job)) => *job,
            other => panic!("{other:?}"),
        }
    }

    fn with(field: &str, value: Value) -> Value {
        let mut body = hook();
        body[field] = value;
        body
    }

    #[test]
    fn a_job_event_is_read_whole() {
        let job = job_of(&hook());
        assert_eq!(job.key, JobKey { project: 41, job: 5_000_000_001 });
        assert_eq!((job.status, job.runner), (JobStatus::Pending, None));
        assert_eq!(job.created_at, Some(Timestamp(1_789_373_730_000)));
        let facts = job.facts;
        assert_eq!((facts.name.as_str(), facts.stage.as_str(), facts.git_ref.as_str()), ("unit 1/2", "test", "main"));
        assert_eq!((facts.project_path.as_str(), facts.retries), ("acme/widgets", 2));
    }

    #[test]
    fn every_date_that_gitlab_writes_is_the_same_time() {
        for (field, other) in
            [("build_created_at", "build_created_at_iso"), ("build_created_at_iso", "build_created_at")]
        {
            for text in [
                "2026-09-14 08:15:30 UTC",
                "2026-09-14T08:15:30Z",
                "2026-09-14T08:15:30.000Z",
                "2026-09-14T10:15:30+02:00",
            ] {
                let mut body = with(field, json!(text));
                body[other] = Value::Null;
                assert_eq!(job_of(&body).created_at, Some(Timestamp(1_789_373_730_000)), "{field} {text}");
            }
        }
        let mut body = with("build_created_at", json!("yesterday"));
        body["build_created_at_iso"] = json!(7);
        assert_eq!(job_of(&body).created_at, None, "an unreadable date loses no job");
    }

    #[test]
    fn old_instances_and_odd_values_are_read() {
        let mut body = hook();
        for absent in ["retries_count", "project", "build_created_at_iso", "build_created_at", "runner", "build_stage"]
        {
            body.as_object_mut().unwrap().remove(absent);
        }
        body["user"] = Value::Null;
        body["build_id"] = json!(190_001.0);
        body["a_field_of_tomorrow"] = json!([[null], {"x": []}]);
        let job = job_of(&body);
        assert_eq!((job.key.job, job.facts.project_path.as_str()), (190_001, "acme/widgets"));
        assert_eq!((job.facts.retries, job.created_at), (0, None));
        let job = job_of(&with("runner", json!({"id": 4711, "tags": null})));
        assert_eq!(job.runner, Some(Taker::stranger(4711)));
        assert_eq!(job_of(&with("runner", json!({"description": null}))).runner, None);
        assert_eq!(job_of(&with("build_status", json!("brand_new"))).status, JobStatus::Unknown("brand_new".into()));
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (field, value) in [
            ("build_id", Value::Null),
            ("build_id", json!(-1)),
            ("build_id", json!(1.5)),
            ("build_id", json!(0)),
            ("project_id", json!([1])),
            ("build_status", json!(7)),
            ("build_status", json!("")),
            ("build_name", json!({"text": "unit"})),
            ("object_kind", json!(["build"])),
        ] {
            let error = read_json(&with(field, value.clone())).unwrap_err();
            assert_eq!(error.field(), field, "{value}");
            assert!(error.to_string().contains(field), "{error}");
        }
        for body in ["", "null", "[]", "\"build\"", "{", "{\"build_id\":1,\"build_id\":2,\"object_kind\":\"build\"}"] {
            assert_eq!(read(body.as_bytes(), &instance()).unwrap_err().field(), "body", "{body}");
        }
    }

    #[test]
    fn other_kinds_are_told_apart_and_deep_nesting_is_an_error_not_a_crash() {
        let pipeline = read_json(&json!({"object_kind": "pipeline", "builds": [{"id": 1}]})).unwrap();
        assert_eq!(pipeline, Event::Other { kind: "pipeline".into() });
        let system = read_json(&json!({"event_name": "project_create"})).unwrap();
        assert_eq!(system, Event::Other { kind: "project_create".into() });
        for field in ["runner", "a_field_of_tomorrow"] {
            let deep = format!("{{\"{field}\":{}", "[".repeat(200_000));
            assert_eq!(read(deep.as_bytes(), &instance()).unwrap_err().field(), "body");
        }
    }

    #[test]
    fn texts_are_kept_as_they_are_up_to_a_length() {
        let name = "$(reboot) ../../etc \u{202e} #\0 \u{1f980}";
        assert_eq!(job_of(&with("build_name", json!(name))).facts.name, name);
        let long = "\u{e9}".repeat(100_000);
        let facts = job_of(&with("build_name", json!(long))).facts;
        assert_eq!(facts.name.chars().count(), NAME_CHARS);
        let facts = job_of(&with("ref", json!(long))).facts;
        assert_eq!(facts.git_ref.chars().count(), REF_CHARS);
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _any = read(&bytes, &instance());
        }

        #[test]
        fn no_value_of_a_field_panics(
            field in proptest::sample::select(vec![
                "object_kind", "build_id", "build_name", "build_status", "build_created_at", "ref", "retries_count",
                "project_id", "project", "repository", "runner",
            ]),
            value in prop_oneof![
                any::<i64>().prop_map(Value::from), any::<f64>().prop_map(Value::from), ".*".prop_map(Value::from),
                Just(Value::Null), ".*".prop_map(|text| json!({"id": text, "path_with_namespace": [text], "homepage": text})),
            ],
        ) {
            if let Ok(Event::Job(job)) = read_json(&with(field, value)) {
                prop_assert!(job.key.job > 0 && job.key.project > 0);
                prop_assert!(job.facts.name.chars().count() <= NAME_CHARS);
            }
        }
    }
}
