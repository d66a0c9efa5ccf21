//! What is refused, and how that is said.

use super::*;

#[test]
fn refusals_name_the_job_and_the_keyword() {
    let deep = format!("script: {}x{}", "[".repeat(11), "]".repeat(11));
    let many_tags = format!("tags: [{}]", vec!["t"; 50].join(", "));
    let needs = |list: &str| format!("needs: {list}");
    for (keywords, keyword, cure) in [
        ("rules: [{when: always}]", "rules", "every job of the file is created"),
        ("only: [main]", "only", "remove it"),
        ("except: [main]", "except", "remove it"),
        ("extends: .b", "extends", "`.b`, which is no job of the file"),
        ("extends: {a: b}", "extends", "write a text"),
        ("extends: a", "extends", "goes in a circle: `a` extends itself"),
        ("trigger: other/project", "trigger", "remove it"),
        ("artifacts: [x]", "artifacts", "write a map"),
        ("artifacts: {paths: [x], expose_as: y}", "artifacts:expose_as", "remove it"),
        ("artifacts: {paths: x}", "artifacts:paths", "write a list"),
        ("artifacts: {paths: [x], when: never}", "artifacts:when", "write `on_success`"),
        ("artifacts: {reports: {dotenv: x}}", "artifacts:reports:dotenv", "remove it"),
        ("cache: x", "cache", "write a map"),
        ("cache: {paths: [x], key: {files: [Cargo.lock]}}", "cache:key", "keys by `files` are outside"),
        ("cache: {key: a/b}", "cache:key", "without `/`"),
        ("cache: {key: x, fallback_keys: ['%2e.']}", "cache:fallback_keys", "dots alone"),
        ("cache: {fallback_keys: [a, b, c, d, e, f]}", "cache:fallback_keys", "more than 5"),
        ("cache: [{}, {}, {}, {}, {}]", "cache", "more than 4"),
        ("cache: {policy: sometimes}", "cache:policy", "write `pull-push`"),
        ("cache: {when: never}", "cache:when", "write `on_success`"),
        ("cache: {path: [x]}", "cache:path", "remove it"),
        ("dependencies: [b]", "dependencies", "no job of the file"),
        ("dependencies: [a]", "dependencies", "of no earlier stage"),
        ("needs: []\ndependencies: [a]", "dependencies", "add it to `needs`"),
        ("environment: {}", "environment:name", "name the environment"),
        ("environment: {name: x, auto_stop_in: 1 day}", "environment:auto_stop_in", "remove it"),
        ("environment: {name: x, action: pause}", "environment:action", "write `start`"),
        ("environment: 'a b!'", "environment", "letters, digits"),
        ("resource_group: [x]", "resource_group", "write a text"),
        ("id_tokens: [T]", "id_tokens", "write a map"),
        ("id_tokens: {T: x}", "id_tokens:T", "write a map"),
        ("id_tokens: {T: {}}", "id_tokens:T:aud", "name the audience"),
        ("id_tokens: {T: {aud: x, sub: y}}", "id_tokens:T:sub", "remove it"),
        ("interruptible: true", "interruptible", "remove it"),
        ("scripts: x", "scripts", "is not a keyword here"),
        (&deep, "script", "flatten"),
        ("before_script: [echo a: b]", "before_script", "quote the whole entry"),
        ("after_script: [5]", "after_script", "quote it"),
        ("script: []", "script", "add a command"),
        ("script: ''", "script", "add a command"),
        ("script: [[]]", "script", "add a command"),
        ("variables: [A]", "variables", "write a map"),
        ("variables: {A: [1]}", "variables:A", "write text"),
        ("variables: {A: {value: [1]}}", "variables:A:value", "write text"),
        ("variables: {A: {value: x, description: y}}", "variables:A:description", "remove it"),
        ("variables: {A: {value: x, expand: 'no'}}", "variables:A:expand", "without quotes"),
        ("variables: {yes: 1}", "variables", "in quotes"),
        ("tags: linux", "tags", "write a list"),
        ("tags: [1]", "tags", "in quotes"),
        (&many_tags, "tags", "remove some"),
        (&needs("b"), "needs", "write a list"),
        (&needs("[b]"), "needs", "no job of the file"),
        (&needs("[a]"), "needs", "in a circle: `a` needs `a`"),
        (&needs("[.hidden]"), "needs", "no job of the file"),
        (&needs("[{job: b, pipeline: x}]"), "needs:pipeline", "remove it"),
        (&needs("[{optional: true}]"), "needs:job", "name the job"),
        (&needs("[{job: b, optional: 1}]"), "needs:optional", "without quotes"),
        ("allow_failure: 1", "allow_failure", "write `true`"),
        ("allow_failure: {exit_codes: x}", "allow_failure:exit_codes", "whole number"),
        ("allow_failure: {codes: 1}", "allow_failure:codes", "known: `exit_codes`"),
        ("when: never", "when", "write `on_success`"),
        ("when: delayed", "start_in", "needs a duration"),
        ("when: delayed\nstart_in: 8 days", "start_in", "shorten it"),
        ("start_in: 1 hour", "start_in", "is for `when: delayed`"),
        ("timeout: 3600", "timeout", "in quotes"),
        ("timeout: soon", "timeout", "no duration"),
        ("timeout: 2 months", "timeout", "shorten it"),
        ("retry: 3", "retry", "from 0 to 2"),
        ("retry: {max: 3}", "retry:max", "from 0 to 2"),
        ("retry: {when: bad_luck}", "retry:when", "script_failure"),
        ("retry: {exit_codes: 1}", "retry:exit_codes", "remove it"),
        ("parallel: 0", "parallel", "from 1 to 200"),
        ("parallel: 201", "parallel", "from 1 to 200"),
        ("parallel: '2'", "parallel", "without quotes"),
        ("parallel: {matrix: []}", "parallel:matrix", "makes no job"),
        ("parallel: {matrix: [{}]}", "parallel:matrix", "add one"),
        ("parallel: {matrix: [{A: [[1]]}]}", "parallel:matrix:A", "write text"),
        ("parallel: {matrix: [{A: 1}, {B: 1}]}", "parallel", "second job named `a: [1]`"),
        ("parallel: {number: 2}", "parallel:number", "known: `matrix`"),
        ("image: [x]", "image", "write a text"),
        ("image: {name: x, entrypoint: [y]}", "image:entrypoint", "remove it"),
        ("image: {}", "image:name", "name the image"),
        ("services: db", "services", "write a list"),
        ("services: [{name: db, alias: x}]", "services:alias", "remove it"),
        ("stage: nowhere", "stage", "add it to `stages`"),
    ] {
        let text = if keywords.starts_with("script") { format!("a:\n  {keywords}\n") } else { with(keywords) };
        let text = format!("{text}.hidden: {{script: x}}\n");
        let error = read(&text).expect_err(&text);
        let CiError::Job { job, keyword: named, .. } = &error else { panic!("{error}\n{text}") };
        assert_eq!((job.as_str(), named.as_str()), ("a", keyword), "{error}\n{text}");
        let shown = error.to_string();
        assert!(shown.contains("`a`") && shown.contains(keyword) && shown.contains(cure), "{shown}\n{text}");
    }
}

#[test]
fn refusals_of_the_file_name_the_keyword() {
    for (text, shown) in [
        ("workflow: {rules: []}\na: {script: x}", "`workflow`"),
        ("cache: {paths: [x]}\na: {script: x}", "write it below `default`"),
        ("spec: {inputs: {}}\na: {script: x}", "`spec`"),
        ("types: [x]\na: {script: x}", "`types` is a reserved name"),
        ("'true': {script: x}", "`true` is a reserved name"),
        ("nil: {script: x}", "`nil` is a reserved name"),
        ("pages: {script: x}", "`pages` is a reserved name"),
        ("'pages:deploy': {script: x}", "`pages:deploy` is a reserved name"),
        ("true: {script: x}", "`true` is a boolean, not a name; quote it"),
        ("on: {script: x}", "`true` is a boolean, not a name; quote it"),
        ("123: {script: x}", "`123` is a number, not a name; quote it"),
        ("default: {script: x}\na: {script: x}", "`default:script`"),
        ("default: {hooks: {}}\na: {script: x}", "`default:hooks` is outside"),
        ("default: {image: x}\nimage: y\na: {script: x}", "`default:image` stands at the top"),
        ("default: {retry: 9}\na: {script: x}", "`default:retry`"),
        ("stages: build\na: {script: x}", "`stages`"),
        ("stages: [1]\na: {script: x}", "`stages`"),
        ("variables: {A: {value: x, options: [y]}}\na: {script: x}", "`variables:A:options`"),
        ("variables: {A: {vaule: x}}\na: {script: x}", "`variables:A:vaule`"),
        ("a: {stage: test}", "job `a`: `script` is missing"),
        ("a: [x]", "job `a`: `script` is missing"),
        ("a:", "job `a`: `script` is missing"),
        ("", "the file is nothing"),
        ("- a", "the file is a list"),
        (".a: {script: x}", "`stages` has no job"),
        ("stages: [build]\n", "`stages` has no job"),
        ("a: {stage: .pre, script: x}", "`.pre` and `.post` only"),
        ("a: {script: x}\n---\nb: {script: x}", "second document"),
        ("a: {script: x", "line 2: not YAML"),
        ("a:\n  script: x\n bad", "not YAML"),
        ("a: {script: !reference [.b, script]}", "`!reference`"),
        ("a: {script: *nowhere}", "not YAML"),
        ("a: &a {script: *a}", "inside its own anchor"),
        ("a: {script: x, variables: {D: 2026-09-01}}", "is a date, which GitLab does not load; quote it"),
        ("a: {<<: 5, script: x}", "`<<` has a number"),
    ] {
        let error = read(text).expect_err(text).to_string();
        assert!(error.contains(shown), "{error}\n{text}");
    }
}

#[test]
fn needs_may_not_go_to_later_stages_or_in_circles() {
    let later = read("a: {stage: build, script: x, needs: [b]}\nb: {stage: test, script: x}\n").unwrap_err();
    assert_eq!(
        later.to_string(),
        ".gitlab-ci.yml: job `a`: `needs` has `b` of a later stage; move one of the two, or remove the need"
    );
    let circle =
        "a: {script: x, needs: [b]}\nb: {script: x, needs: [c 1/2]}\nc: {script: x, needs: [a], parallel: 2}\n";
    let circle = read(circle).unwrap_err().to_string();
    assert!(circle.contains("`needs` goes in a circle: `a` needs `b` needs `c 1/2` needs `a`"), "{circle}");
    let twice = read("b: {script: x, parallel: 2}\na: {script: x, needs: [b, 'b 1/2']}\n").unwrap_err().to_string();
    assert!(twice.contains("has `b 1/2` twice"), "{twice}");
    let many = read("b: {script: x, parallel: 51}\na: {script: x, needs: [b]}\n").unwrap_err().to_string();
    assert!(many.contains("job `a`: `needs` has 51 jobs"), "{many}");
}

#[test]
fn names_have_a_limit() {
    let name = |length: usize| "n".repeat(length);
    assert_eq!(names(&format!("{}: {{script: x}}\n", name(255))), [name(255)]);
    for text in [format!("{}: {{script: x}}\n", name(256)), format!("{}: {{script: x, parallel: 10}}\n", name(251))] {
        let error = read(&text).unwrap_err().to_string();
        assert!(error.contains("more than 255 characters"), "{error}");
    }
    let clash = read("'b 1/2': {script: x}\nb: {script: x, parallel: 2}\n").unwrap_err().to_string();
    assert!(clash.contains("job `b`: `parallel` makes a second job named `b 1/2`"), "{clash}");
}

#[test]
fn huge_files_are_refused_before_they_grow() {
    let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..12 {
        let below = format!("*a{}, ", level - 1).repeat(10);
        bomb.push_str(&format!("a{level}: &a{level} [{below}]\n"));
    }
    let deep = format!("a: {}x{}\n", "[".repeat(150), "]".repeat(150));
    let product = with(&format!(
        "parallel: {{matrix: [{{{}}}]}}",
        (0..70).map(|n| format!("V{n}: [a, b]")).collect::<Vec<_>>().join(", ")
    ));
    let long = format!("a: {{script: {}}}\n", "x".repeat(2 * 1024 * 1024));
    for (text, shown) in [
        (bomb, "aliases written out"),
        (deep, "nested deeper"),
        (product, "more than 200 jobs"),
        (long, "more than 2097152 bytes"),
    ] {
        let error = read(&text).unwrap_err().to_string();
        assert!(error.contains(shown), "{error}");
    }
}
