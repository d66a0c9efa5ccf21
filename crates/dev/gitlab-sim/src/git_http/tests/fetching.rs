//! What runners do: clone, fetch at a depth, by pipeline ref and by hash, in all protocol versions.

use super::client::{Site, commit, git};
use crate::git_http::{create_ref, import};

#[tokio::test]
async fn a_clone_has_the_whole_history_in_every_protocol_version() {
    let site = Site::with_commits(3).await;
    let tip = git(&site.bare, &["rev-parse", "trunk"]);
    for version in ["0", "1", "2"] {
        let setting = format!("protocol.version={version}");
        site.git(&["-c", &setting, "clone", "-q", &site.url("secret"), &format!("clone{version}")]).await;
        let clone = site.folder.path().join(format!("clone{version}"));
        assert_eq!(git(&clone, &["rev-parse", "HEAD"]), tip);
        assert_eq!(git(&clone, &["symbolic-ref", "--short", "HEAD"]), "trunk");
        assert_eq!(git(&clone, &["rev-list", "--count", "HEAD"]), "3");
        assert_eq!(std::fs::read_to_string(clone.join("c2")).unwrap(), "content of c2\n");
    }
    let versions: Vec<_> =
        site.seen().iter().filter_map(|seen| seen.header("git-protocol").map(str::to_owned)).collect();
    assert!(versions.contains(&"version=1".to_owned()) && versions.contains(&"version=2".to_owned()), "{versions:?}");
}

#[tokio::test]
async fn the_protocol_version_is_the_clients() {
    let site = Site::with_commits(1).await;
    for version in ["0", "2"] {
        let (setting, url) = (format!("protocol.version={version}"), site.url("secret"));
        let output = site.traced(&["-c", &setting, "ls-remote", &url]).await;
        assert_eq!(output.contains("< version 2"), version == "2", "{output}");
        assert!(output.contains("refs/heads/trunk"), "{output}");
    }
}

#[tokio::test]
async fn a_job_fetches_its_pipeline_at_a_depth_and_grows_it_later() {
    let site = Site::with_commits(5).await;
    let tip = git(&site.bare, &["rev-parse", "trunk"]);
    create_ref(&site.bare, "refs/pipelines/7", &tip).unwrap();
    for version in ["version=0", "version=2"] {
        let work = format!("work-{version}");
        site.git(&["init", "-q", &work]).await;
        let fetch = |depth: &'static str| {
            let (work, url) = (work.clone(), site.url("secret"));
            let protocol = format!("protocol.{version}");
            let refspecs = ["+refs/pipelines/7:refs/pipelines/7", "+refs/heads/trunk:refs/remotes/origin/trunk"];
            let site = &site;
            async move {
                let mut args = vec!["-C", &work, "-c", &protocol, "fetch", "-q", "--no-tags", depth, &url];
                args.extend(refspecs);
                site.git(&args).await
            }
        };
        let tree = site.folder.path().join(&work);
        fetch("--depth=2").await;
        assert_eq!(git(&tree, &["rev-parse", "refs/pipelines/7"]), tip);
        assert_eq!(git(&tree, &["rev-list", "--count", "refs/pipelines/7"]), "2");
        fetch("--depth=4").await;
        assert_eq!(git(&tree, &["rev-list", "--count", "refs/pipelines/7"]), "4");
        fetch("--unshallow").await;
        assert_eq!(git(&tree, &["rev-list", "--count", "refs/remotes/origin/trunk"]), "5");
    }
}

#[tokio::test]
async fn a_commit_that_no_ref_reaches_is_fetched_by_its_hash() {
    let site = Site::with_commits(2).await;
    let left = git(&site.bare, &["rev-parse", "trunk"]);
    let source = site.folder.path().join("source");
    git(&source, &["reset", "-q", "--hard", "HEAD~1"]);
    commit(&source, "instead");
    let head = import(&source, &site.bare).unwrap();
    assert_ne!(head.sha, left);
    for version in ["0", "2"] {
        let (work, setting) = (format!("work{version}"), format!("protocol.version={version}"));
        site.git(&["init", "-q", &work]).await;
        let refspec = format!("+{left}:refs/pipelines/1");
        site.git(&["-C", &work, "-c", &setting, "fetch", "-q", "--depth=1", &site.url("secret"), &refspec]).await;
        assert_eq!(git(&site.folder.path().join(&work), &["rev-parse", "refs/pipelines/1"]), left);
    }
    let unknown = "+1234567890123456789012345678901234567890:refs/x";
    let output = site.try_git(&["-C", "work2", "fetch", "-q", &site.url("secret"), unknown]).await;
    assert!(String::from_utf8_lossy(&output.stderr).contains("not our ref"), "{output:?}");
}

#[tokio::test]
async fn long_requests_come_compressed_and_are_understood() {
    let site = Site::with_commits(60).await;
    let commits = git(&site.bare, &["rev-list", "trunk"]);
    for (number, sha) in commits.lines().enumerate() {
        create_ref(&site.bare, &format!("refs/heads/b{number}"), sha).unwrap();
    }
    for version in ["0", "2"] {
        let setting = format!("protocol.version={version}");
        let clone = format!("clone{version}");
        site.git(&["-c", &setting, "clone", "-q", &site.url("secret"), &clone]).await;
        let branches = git(&site.folder.path().join(&clone), &["branch", "-r", "--format=%(refname)"]);
        assert_eq!(branches.lines().filter(|line| line.contains("/b")).count(), 60);
    }
    let compressed = site.seen().iter().filter(|seen| seen.header("content-encoding") == Some("gzip")).count();
    assert!(compressed >= 2, "{:?}", site.seen());

    // What a client already has travels the same way, round after round.
    let tree = site.folder.path().join("clone2");
    for number in 0..40 {
        commit(&tree, &format!("local{number}"));
    }
    commit(&site.folder.path().join("source"), "new");
    let head = import(&site.folder.path().join("source"), &site.bare).unwrap();
    site.git(&["-C", "clone2", "-c", "protocol.version=0", "fetch", "-q", "origin", "trunk"]).await;
    assert_eq!(git(&tree, &["rev-parse", "FETCH_HEAD"]), head.sha);
}
