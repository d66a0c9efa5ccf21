//! Files that include others, and jobs that extend others.

use super::*;

/// A file, with others of its commit.
fn among(text: &str, others: &[(&str, &str)]) -> Result<Pipeline, CiError> {
    let find = |path: &str| others.iter().find(|(name, _)| *name == path).map(|(_, text)| (*text).to_owned());
    parse(text, &find)
}

#[test]
fn the_included_come_first_and_the_file_is_laid_over_them() {
    let others = [
        ("ci/one.yml", "include: ci/deep.yaml\nvariables: {A: one, B: one}\na: {script: one, tags: [x]}\n"),
        ("ci/deep.yaml", "variables: {A: deep, C: deep}\nb: {script: deep}\n"),
        ("two.yml", "a: {script: two, variables: {V: two}}\n"),
    ];
    let text = "include: [/ci/one.yml, {local: two.yml}]\nvariables: {B: own}\na: {variables: {W: own}}\n";
    let read = among(text, &others).unwrap();
    assert_eq!(pairs(&read.variables), [("A", "one"), ("C", "deep"), ("B", "own")]);
    let a = read.job("a").unwrap();
    assert_eq!((&a.script, &a.tags), (&vec!["two".to_owned()], &vec!["x".to_owned()]));
    assert_eq!(pairs(&a.variables)[3..], [("V", "two"), ("W", "own")]);
    assert_eq!(read.job("b").unwrap().script, ["deep"]);
}

#[test]
fn what_cannot_be_included_says_why() {
    let others = [("bad.yml", "a: ["), ("list.yml", "[a]"), ("me.yml", "include: me.yml\na: {script: x}\n")];
    for (include, shown) in [
        ("gone.yml", "`include:gone.yml` is no file of the commit"),
        ("https://example.com/x.yml", "copy the file into it"),
        ("'*.yml'", "stands for several files"),
        ("x.json", "does not end in `.yml`"),
        ("{project: a/b, file: x.yml}", "`include:project` is not supported"),
        ("{}", "`include:local` is missing"),
        ("5", "`include` is a number"),
        ("bad.yml", "`include:bad.yml` cannot be read"),
        ("list.yml", "the included `list.yml` is a list"),
        ("me.yml", "more than 150 files"),
    ] {
        let error = among(&format!("include: {include}\na: {{script: x}}\n"), &others).unwrap_err().to_string();
        assert!(error.contains(shown), "{include}: {error}");
    }
}

#[test]
fn a_job_is_laid_over_its_bases_in_their_order() {
    let text = "
.base:
  before_script: [base]
  variables: {A: base, B: base}
  tags: [base]
.middle: {extends: .base, variables: {B: middle, C: middle}}
.other: {tags: [other, more], when: manual}
a:
  extends: [.middle, .other]
  variables: {C: own}
  script: x
";
    let a = job(text);
    assert_eq!(a.script, ["base", "x"]);
    assert_eq!(a.tags, ["other", "more"], "a list takes the place of a list");
    assert_eq!(pairs(&a.variables), [("A", "base"), ("B", "middle"), ("C", "own")]);
    assert_eq!(a.when, When::Manual);
}

#[test]
fn bases_may_come_from_other_files_and_be_jobs_themselves() {
    let others = [("base.yml", ".base: {script: base, stage: deploy}\n")];
    let read = among("include: base.yml\na: {extends: .base}\nb: {extends: a, stage: build}\n", &others).unwrap();
    let shown: Vec<_> = read.jobs.iter().map(|job| (job.name.as_str(), job.stage.as_str())).collect();
    assert_eq!(shown, [("a", "deploy"), ("b", "build")]);
    assert_eq!(read.job("b").unwrap().script, ["base"]);
}

#[test]
fn bases_are_nested_eleven_levels_deep_and_no_deeper() {
    let line = |levels: usize| {
        let bases = (1..=levels).map(|level| format!(".b{level}: {{extends: .b{}}}\n", level - 1));
        format!(".b0: {{script: x}}\n{}a: {{extends: .b{levels}}}\n", bases.collect::<String>())
    };
    assert_eq!(read(&line(10)).unwrap().jobs.len(), 1);
    let error = read(&line(11)).unwrap_err().to_string();
    assert!(error.contains("nested deeper than 11 levels"), "{error}");
    let circle = read(".a: {extends: .b}\n.b: {extends: .a}\nc: {extends: .a, script: x}\n").unwrap_err().to_string();
    assert!(circle.contains("in a circle"), "{circle}");
}

#[test]
fn deployments_have_an_environment_a_resource_group_and_tokens() {
    let text = "
default:
  id_tokens: {D: {aud: https://a.example}}
a:
  script: x
  environment: {name: review/$CI_COMMIT_REF_SLUG, url: https://$CI_ENVIRONMENT_SLUG.example, action: prepare}
  resource_group: $CI_PROJECT_ID
  id_tokens: {ONE: {aud: $CI_SERVER_URL}, TWO: {aud: [a, b]}}
b: {script: x, environment: production}
";
    let read = pipeline(text);
    let a = read.job("a").unwrap();
    let environment = a.environment.as_ref().unwrap();
    assert_eq!((environment.name.as_str(), environment.action.as_str()), ("review/$CI_COMMIT_REF_SLUG", "prepare"));
    assert_eq!(environment.url.as_deref(), Some("https://$CI_ENVIRONMENT_SLUG.example"));
    assert_eq!(a.resource_group.as_deref(), Some("$CI_PROJECT_ID"));
    let token = |variable: &str, audiences: &[&str], listed| IdToken {
        variable: variable.to_owned(),
        audiences: audiences.iter().map(|audience| (*audience).to_owned()).collect(),
        listed,
    };
    assert_eq!(a.id_tokens, [token("ONE", &["$CI_SERVER_URL"], false), token("TWO", &["a", "b"], true)]);
    let b = read.job("b").unwrap();
    assert_eq!(b.environment.as_ref().map(|e| (e.name.as_str(), e.action.as_str())), Some(("production", "start")));
    assert_eq!(b.id_tokens, [token("D", &["https://a.example"], false)]);
}
