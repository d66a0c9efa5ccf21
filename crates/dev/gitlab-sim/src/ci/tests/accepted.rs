//! What is read, and what becomes of it.

use super::*;

#[test]
fn the_smallest_file_has_gitlabs_defaults() {
    let read = pipeline("a:\n  script: echo hi\n");
    assert_eq!(read.stages, [".pre", "build", "test", "deploy", ".post"]);
    assert_eq!(read.variables, []);
    assert_eq!(
        read.job("a"),
        Some(&Job {
            name: "a".to_owned(),
            base_name: "a".to_owned(),
            stage: "test".to_owned(),
            script: vec!["echo hi".to_owned()],
            after_script: vec![],
            variables: vec![],
            tags: vec![],
            needs: None,
            inputs: None,
            artifacts: vec![],
            caches: vec![],
            allow_failure: AllowFailure::No,
            when: When::OnSuccess,
            timeout_s: None,
            retry: Retry { max: 0, when: vec!["always".to_owned()] },
            parallel: None,
            image: None,
            services: vec![],
            environment: None,
            resource_group: None,
            id_tokens: vec![],
        })
    );
}

#[test]
fn scripts_are_flattened_and_keep_their_lines() {
    for (script, expected) in [
        ("script: one", vec!["one"]),
        ("script:\n- one\n- two", vec!["one", "two"]),
        ("script:\n- one\n- [two, [three, [four]]]", vec!["one", "two", "three", "four"]),
        ("script:\n- |\n  if true; then\n    x\n  fi\n- last", vec!["if true; then\n  x\nfi\n", "last"]),
        ("script: |\n  one\n  two", vec!["one\ntwo\n"]),
        ("script: [[[[[[[[[[ten]]]]]]]]]]", vec!["ten"]),
        ("before_script: [b]\nscript: [x]", vec!["b", "x"]),
        ("before_script: b\nscript: x", vec!["b", "x"]),
        ("script: ['true', \"a: b\"]", vec!["true", "a: b"]),
    ] {
        let text = format!("a:\n  {}\n", script.replace('\n', "\n  "));
        assert_eq!(job(&text).script, expected, "{text}");
    }
    assert_eq!(job(&with("after_script: [c, [d]]")).after_script, ["c", "d"]);
}

#[test]
fn defaults_hold_unless_the_job_says_otherwise() {
    let text = "
default:
  before_script: [b]
  after_script: [c]
  tags: [t]
  retry: 1
  timeout: 10 minutes
  image: img
  services: [{name: db}, cache]
a: {script: x}
b: {script: x, before_script: [], after_script: d, tags: [], retry: 2, timeout: 1h, image: {name: other}, services: []}
c: {script: x, before_script: null}
";
    let read = pipeline(text);
    let a = read.job("a").unwrap();
    assert_eq!((&a.script[..], &a.after_script[..]), (&["b".to_owned(), "x".to_owned()][..], &["c".to_owned()][..]));
    assert_eq!((&a.tags[..], a.retry.max, a.timeout_s), (&["t".to_owned()][..], 1, Some(600)));
    assert_eq!((a.image.as_deref(), &a.services[..]), (Some("img"), &["db".to_owned(), "cache".to_owned()][..]));
    let b = read.job("b").unwrap();
    assert_eq!((&b.script[..], &b.after_script[..]), (&["x".to_owned()][..], &["d".to_owned()][..]));
    assert_eq!((b.tags.len(), b.retry.max, b.timeout_s), (0, 2, Some(3_600)));
    assert_eq!((b.image.as_deref(), b.services.len()), (Some("other"), 0));
    assert_eq!(read.job("c").unwrap().script, ["b", "x"]);

    let top = job("before_script: [b]\nafter_script: c\nimage: img\nservices: [db]\na: {script: x}\n");
    assert_eq!((top.script, top.after_script), (vec!["b".to_owned(), "x".to_owned()], vec!["c".to_owned()]));
    assert_eq!((top.image.as_deref(), top.services), (Some("img"), vec!["db".to_owned()]));
}

#[test]
fn variables_of_the_job_override_those_of_the_file() {
    let text = "
variables:
  GLOBAL: one
  BOTH: from the file
  DEPLOY: {value: staging, description: where to, options: [staging, production]}
  RAW: {value: $GLOBAL, expand: false}
a:
  script: x
  variables: {BOTH: from the job, OWN: 1}
";
    let read = pipeline(text);
    assert_eq!(
        pairs(&read.variables),
        [("GLOBAL", "one"), ("BOTH", "from the file"), ("DEPLOY", "staging"), ("RAW", "$GLOBAL")]
    );
    assert_eq!(
        pairs(&read.jobs[0].variables),
        [("GLOBAL", "one"), ("BOTH", "from the job"), ("DEPLOY", "staging"), ("RAW", "$GLOBAL"), ("OWN", "1")]
    );
    let raw: Vec<_> = read.variables.iter().map(|variable| variable.raw).collect();
    assert_eq!(raw, [false, false, false, true]);
}

#[test]
fn plain_values_are_those_of_yaml_1_1() {
    for (written, value) in [
        ("yes", "true"),
        ("'yes'", "yes"),
        ("off", "false"),
        ("True", "true"),
        ("y", "y"),
        ("010", "8"),
        ("'010'", "010"),
        ("1.50", "1.5"),
        ("3.10", "3.1"),
        ("1_000", "1000"),
        ("12:30", "45000"),
        ("1e3", "1e3"),
        ("", ""),
        ("~", ""),
        ("!!str 010", "010"),
        ("|-\n      a\n      b", "a\nb"),
    ] {
        let read = job(&format!("a:\n  script: x\n  variables:\n    V: {written}\n"));
        assert_eq!(pairs(&read.variables), [("V", value)], "{written}");
    }
}

#[test]
fn parallel_jobs_have_gitlabs_names() {
    let numbered = pipeline(&with("parallel: 3"));
    let positions: Vec<_> = numbered.jobs.iter().map(|job| (job.name.as_str(), job.parallel)).collect();
    assert_eq!(positions, [("a 1/3", Some((1, 3))), ("a 2/3", Some((2, 3))), ("a 3/3", Some((3, 3)))]);
    assert_eq!(names(&with("parallel: 1")), ["a 1/1"]);

    let text = "
test:
  script: x
  variables: {OS: none, KEEP: yes}
  parallel:
    matrix:
      - OS: [linux, mac]
        VERSION: ['1.2', 3]
      - OS: windows
";
    let matrix = pipeline(text);
    assert_eq!(
        names(text),
        ["test: [linux, 1.2]", "test: [linux, 3]", "test: [mac, 1.2]", "test: [mac, 3]", "test: [windows]"]
    );
    let second = &matrix.jobs[1];
    assert_eq!((second.base_name.as_str(), second.parallel), ("test", Some((2, 5))));
    assert_eq!(pairs(&second.variables), [("OS", "linux"), ("KEEP", "true"), ("VERSION", "3")]);
    assert_eq!(pairs(&matrix.jobs[4].variables), [("OS", "windows"), ("KEEP", "true")]);
    assert_eq!(names(&with("parallel:\n  matrix:\n  - V: 1.0")), ["a: [1.0]"]);
}

#[test]
fn needs_of_a_parallel_job_mean_all_of_it() {
    let text = "
b: {stage: build, script: x, parallel: 2}
m: {stage: build, script: x, parallel: {matrix: [{OS: [linux, mac]}]}}
all: {script: x, needs: [b, m]}
one: {script: x, needs: ['b 2/2', {job: 'm: [mac]', artifacts: false}]}
maybe: {script: x, needs: [{job: gone, optional: true}, {job: b, optional: true}]}
now: {script: x, needs: []}
same_stage: {script: x, needs: {job: now}}
later: {stage: deploy, script: x}
";
    let read = pipeline(text);
    let needs = |name: &str| read.job(name).unwrap().needs.clone();
    let list = |names: &[&str]| Some(names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>());
    assert_eq!(needs("all"), list(&["b 1/2", "b 2/2", "m: [linux]", "m: [mac]"]));
    assert_eq!(needs("one"), list(&["b 2/2", "m: [mac]"]));
    assert_eq!(needs("maybe"), list(&["b 1/2", "b 2/2"]));
    assert_eq!(needs("now"), list(&[]));
    assert_eq!(needs("same_stage"), list(&["now"]));
    assert_eq!(needs("later"), None);
}

#[test]
fn artifacts_become_an_archive_and_reports() {
    let read = job(&with(
        "artifacts: {name: $CI_JOB_NAME, paths: [out/, '*.txt'], exclude: ['out/**/*.o'], untracked: true, \
         when: always, expire_in: 1 week, reports: {sast: s.json, junit: [a.xml, b.xml]}}",
    ));
    let seen: Vec<_> = read
        .artifacts
        .iter()
        .map(|kept| {
            (kept.kind.as_str(), kept.format.as_str(), kept.name.as_deref(), kept.when.as_str(), kept.paths.len())
        })
        .collect();
    assert_eq!(
        seen,
        [
            ("archive", "zip", Some("$CI_JOB_NAME"), "always", 2),
            ("junit", "gzip", Some("junit.xml"), "always", 2),
            ("sast", "raw", Some("gl-sast-report.json"), "always", 1),
        ]
    );
    assert!(read.artifacts[0].untracked && read.artifacts[0].exclude == ["out/**/*.o"]);
    assert_eq!(read.artifacts[1].expire_in.as_deref(), Some("1 week"));
    assert_eq!(job(&with("artifacts: {reports: {junit: x}}")).artifacts.len(), 1, "no archive of nothing");
}

#[test]
fn a_cache_has_what_gitlab_fills_in() {
    let read = job(&with(
        "cache: [{key: $CI_COMMIT_REF_SLUG, paths: [a/, b], policy: pull, when: always, fallback_keys: [main], unprotect: true}, \
         {untracked: true, policy: $POLICY}]",
    ));
    let first = Cache {
        key: "$CI_COMMIT_REF_SLUG".to_owned(),
        paths: vec!["a/".to_owned(), "b".to_owned()],
        untracked: false,
        policy: "pull".to_owned(),
        when: "always".to_owned(),
        fallback_keys: vec!["main".to_owned()],
        unprotect: true,
    };
    let second = Cache {
        key: "default".to_owned(),
        paths: vec![],
        untracked: true,
        policy: "$POLICY".to_owned(),
        when: "on_success".to_owned(),
        fallback_keys: vec![],
        unprotect: false,
    };
    assert_eq!(read.caches, [first, second]);
    assert_eq!(job(&with("cache: {paths: [x]}")).caches[0].policy, "pull-push");
    let text = "default: {cache: {key: k, paths: [x]}}\na: {script: x}\nb: {script: x, cache: []}";
    let read = pipeline(text);
    assert_eq!((read.job("a").unwrap().caches.len(), read.job("b").unwrap().caches.len()), (1, 0));
}

#[test]
fn a_job_gets_files_by_dependencies_else_by_needs_else_of_earlier_stages() {
    let text = "
b: {stage: build, script: x, parallel: 2}
c: {stage: build, script: x}
all: {script: x}
some: {script: x, dependencies: [b]}
none: {script: x, dependencies: []}
needing: {script: x, needs: [b, {job: c, artifacts: false}]}
both: {script: x, needs: [b, c], dependencies: [c]}
";
    let read = pipeline(text);
    let inputs = |name: &str| read.job(name).unwrap().inputs.clone();
    let list = |names: &[&str]| Some(names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>());
    assert_eq!(inputs("all"), None);
    assert_eq!(inputs("some"), list(&["b 1/2", "b 2/2"]));
    assert_eq!(inputs("none"), list(&[]));
    assert_eq!(inputs("needing"), list(&["b 1/2", "b 2/2"]));
    assert_eq!(inputs("both"), list(&["c"]));
}

#[test]
fn when_and_allow_failure_are_read() {
    for (keywords, when, allow_failure) in [
        ("when: on_success", When::OnSuccess, AllowFailure::No),
        ("when: on_failure", When::OnFailure, AllowFailure::No),
        ("when: always\nallow_failure: true", When::Always, AllowFailure::Yes),
        ("when: manual", When::Manual, AllowFailure::Yes),
        ("when: manual\nallow_failure: false", When::Manual, AllowFailure::No),
        ("when: delayed\nstart_in: 30 minutes", When::Delayed(1_800), AllowFailure::No),
        ("when: delayed\nstart_in: 1 week", When::Delayed(604_800), AllowFailure::No),
        ("allow_failure: {exit_codes: 42}", When::OnSuccess, AllowFailure::ExitCodes(vec![42])),
        ("allow_failure: {exit_codes: [1, 137]}", When::OnSuccess, AllowFailure::ExitCodes(vec![1, 137])),
        ("allow_failure: yes", When::OnSuccess, AllowFailure::Yes),
    ] {
        let read = job(&with(keywords));
        assert_eq!((read.when, read.allow_failure), (when, allow_failure), "{keywords}");
    }
}

#[test]
fn retry_timeout_and_tags_are_read() {
    for (keywords, max, when) in [
        ("retry: 2", 2, vec!["always"]),
        ("retry: {max: 1, when: runner_system_failure}", 1, vec!["runner_system_failure"]),
        ("retry: {max: 2, when: [script_failure, api_failure]}", 2, vec!["script_failure", "api_failure"]),
        ("retry: {when: always}", 0, vec!["always"]),
    ] {
        let read = job(&with(keywords)).retry;
        assert_eq!((read.max, read.when), (max, when.into_iter().map(str::to_owned).collect()), "{keywords}");
    }
    for (written, seconds) in [("1h 30m", 5_400), ("90 minutes", 5_400), ("'3600'", 3_600)] {
        assert_eq!(job(&with(&format!("timeout: {written}"))).timeout_s, Some(seconds), "{written}");
    }
    assert_eq!(job(&with("tags: [linux, 'x 64']")).tags, ["linux", "x 64"]);
}

#[test]
fn anchors_and_merge_keys_work_as_in_psych() {
    let text = "
.tag: &tag v
.base: &base
  script: [base]
  tags: [t]
.more: &more {tags: [more], timeout: 1h}
below:
  <<: *base
  tags: [own]
above:
  tags: [own]
  <<: *base
list:
  <<: [*base, *more]
scalar: {script: x, tags: [*tag, u]}
";
    let read = pipeline(text);
    let tags = |name: &str| read.job(name).unwrap().tags.clone();
    assert_eq!(names(text), ["below", "above", "list", "scalar"]);
    // A merge key overrides what stands above it, and is overridden by what stands below it.
    assert_eq!((tags("below"), tags("above")), (vec!["own".to_owned()], vec!["t".to_owned()]));
    assert_eq!((tags("list"), read.job("list").unwrap().timeout_s), (vec!["t".to_owned()], Some(3_600)));
    assert_eq!(tags("scalar"), ["v", "u"]);
    // Of a key that stands twice the last value counts.
    assert_eq!(job("a: {script: one}\na: {script: two, script: three}\n").script, ["three"]);
}

#[test]
fn stages_are_flattened_and_get_their_ends() {
    let read =
        pipeline("stages: [.post, [one, [two]], one]\na: {stage: two, script: x}\nb: {stage: .pre, script: x}\n");
    assert_eq!(read.stages, [".pre", "one", "two", ".post"]);
}
