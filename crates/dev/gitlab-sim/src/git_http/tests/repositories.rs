//! Making repositories, and looking into them.

use std::collections::BTreeMap;
use std::path::Path;

use tempfile::tempdir;

use super::client::{commit, git, source};
use crate::git_http::{Head, ImportError, create_ref, import, init, read_file};

fn files(files: &[(&str, &str)]) -> BTreeMap<String, String> {
    files.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect()
}

#[test]
fn import_takes_what_is_committed_and_nothing_else() {
    let folder = tempdir().unwrap();
    let tree = source(folder.path(), 2);
    let first = git(&tree, &["rev-parse", "HEAD~1"]);
    git(&tree, &["tag", "v1"]);
    git(&tree, &["branch", "other"]);
    git(&tree, &["commit", "-q", "--allow-empty", "-m", "Ünïcode subject\n\nAnd a body."]);
    std::fs::write(tree.join("c1"), "not committed").unwrap();
    std::fs::write(tree.join("untracked"), "x").unwrap();
    let (second, tip) = (git(&tree, &["rev-parse", "HEAD~1"]), git(&tree, &["rev-parse", "HEAD"]));

    let bare = folder.path().join("bare.git");
    let head = import(&tree, &bare).unwrap();
    assert_eq!(
        head,
        Head {
            branch: "trunk".to_owned(),
            sha: tip.clone(),
            parent_sha: Some(second),
            message: "Ünïcode subject\n\nAnd a body.\n".to_owned(),
            author_name: "Ada".to_owned(),
            author_email: "ada@example.com".to_owned(),
            committed_at_s: 1_770_000_000,
        }
    );
    assert_eq!(git(&bare, &["for-each-ref", "--format=%(refname)"]), "refs/heads/trunk");
    assert_eq!(git(&bare, &["rev-list", "--max-parents=0", "HEAD"]), first);
    assert_eq!(read_file(&bare, &tip, "c1").unwrap().as_deref(), Some(&b"content of c1\n"[..]));
    assert_eq!(read_file(&bare, &tip, "untracked").unwrap(), None);

    let next = commit(&tree, "next");
    let again = import(&tree, &bare).unwrap();
    assert_eq!((again.sha, again.parent_sha), (next, Some(tip)));
}

#[test]
fn import_takes_detached_bare_and_shallow_sources() {
    let folder = tempdir().unwrap();
    let tree = source(folder.path(), 3);
    let tip = git(&tree, &["rev-parse", "HEAD"]);
    let from = format!("file://{}", tree.display());
    git(folder.path(), &["clone", "-q", "--depth=1", &from, "shallow"]);
    git(folder.path(), &["clone", "-q", "--bare", &from, "other.git"]);
    git(&tree, &["checkout", "-q", "--detach", "HEAD~1"]);
    let detached = git(&tree, &["rev-parse", "HEAD"]);
    for (name, branch, sha, commits) in
        [("source", "main", &detached, "2"), ("other.git", "trunk", &tip, "3"), ("shallow", "trunk", &tip, "1")]
    {
        let bare = folder.path().join(format!("{name}.bare"));
        let head = import(&folder.path().join(name), &bare).unwrap();
        assert_eq!((head.branch.as_str(), &head.sha), (branch, sha), "{name}");
        assert_eq!(git(&bare, &["rev-list", "--count", "HEAD"]), commits, "{name}");
    }
}

#[test]
fn import_refuses_what_is_no_repository() {
    let folder = tempdir().unwrap();
    let tree = source(folder.path(), 1);
    let (bare, inside, empty) = (folder.path().join("bare.git"), tree.join("inside"), folder.path().join("empty"));
    std::fs::create_dir(&inside).unwrap();
    git(folder.path(), &["init", "-q", "empty"]);
    assert!(matches!(import(&folder.path().join("gone"), &bare), Err(ImportError::Folder { .. })));
    assert!(matches!(import(folder.path(), &bare), Err(ImportError::NotARepository { .. })));
    // Not the repository around it: that is another project.
    assert!(matches!(import(&inside, &bare), Err(ImportError::NotARepository { .. })));
    assert!(matches!(import(&empty, &bare), Err(ImportError::NoCommit(_))));
    assert!(!bare.exists());
}

#[test]
fn the_same_texts_are_the_same_commit() {
    let folder = tempdir().unwrap();
    let texts = files(&[
        (".gitlab-ci.yml", "a: {script: x}\n"),
        ("deep/er/file", "no newline"),
        ("sp ace \"quoted\" \\ ü", "x\n"),
        ("empty", ""),
    ]);
    let (one, two) = (folder.path().join("one.git"), folder.path().join("two.git"));
    let head = init(&one, &texts).unwrap();
    assert_eq!(init(&two, &texts).unwrap(), head);
    assert_eq!((head.branch.as_str(), head.parent_sha.as_deref()), ("main", None));
    for (path, text) in &texts {
        assert_eq!(read_file(&one, &head.sha, path).unwrap().as_deref(), Some(text.as_bytes()), "{path}");
    }
    assert_eq!(git(&one, &["fsck", "--strict"]), "");
    git(folder.path(), &["clone", "-q", "one.git", "clone"]);
    assert_eq!(std::fs::read_to_string(folder.path().join("clone/deep/er/file")).unwrap(), "no newline");

    assert!(matches!(init(&one, &texts), Err(ImportError::Exists(_))));
    let none = init(&folder.path().join("none.git"), &BTreeMap::new()).unwrap();
    assert_eq!(read_file(&folder.path().join("none.git"), &none.sha, "a").unwrap(), None);
}

#[test]
fn paths_that_lead_elsewhere_are_refused() {
    let folder = tempdir().unwrap();
    for path in ["", "/etc/x", "a//b", "a/", "../x", "a/../../x", "./a", ".git/config", "a/.GIT/hooks/x", "a\nb", "a\0"]
    {
        let error = init(&folder.path().join("new.git"), &files(&[(path, "x")])).unwrap_err();
        assert!(matches!(error, ImportError::BadPath { .. }), "{path:?}: {error}");
    }
    let error = init(&folder.path().join("new.git"), &files(&[("a", "x"), ("a/b/c", "y")])).unwrap_err();
    assert!(error.to_string().contains("\"a/b/c\" goes through another file"), "{error}");
    assert!(!folder.path().join("new.git").exists());
}

#[test]
fn files_are_read_at_a_commit() {
    let folder = tempdir().unwrap();
    let bare = folder.path().join("bare.git");
    let head = init(&bare, &files(&[("dir/a*", "star"), ("dir/ab", "plain")])).unwrap();
    assert_eq!(read_file(&bare, &head.sha, "dir/a*").unwrap().as_deref(), Some(&b"star"[..]));
    assert_eq!(read_file(&bare, &head.sha, "dir").unwrap(), None);
    assert_eq!(read_file(&bare, &head.sha, "dir/none").unwrap(), None);
    assert!(matches!(read_file(&bare, "main", "dir/ab"), Err(ImportError::BadSha(_))));
    assert!(matches!(read_file(&bare, &"0".repeat(40), "dir/ab"), Err(ImportError::Git { .. })));
    assert!(matches!(read_file(&bare, &head.sha, "../x"), Err(ImportError::BadPath { .. })));
    assert!(read_file(Path::new("/nonexistent"), &head.sha, "x").is_err());
}

#[test]
fn refs_are_created_and_moved() {
    let folder = tempdir().unwrap();
    let tree = source(folder.path(), 2);
    let bare = folder.path().join("bare.git");
    let head = import(&tree, &bare).unwrap();
    let parent = head.parent_sha.unwrap();
    for sha in [&parent, &head.sha, &head.sha] {
        create_ref(&bare, "refs/pipelines/12", sha).unwrap();
        assert_eq!(git(&bare, &["rev-parse", "refs/pipelines/12"]), **sha);
    }
    for name in ["pipelines/1", "HEAD", "--stdin", "refs/a..b", "refs/a b", "refs/", "refs/../../x", "refs/x.lock"] {
        assert!(matches!(create_ref(&bare, name, &parent), Err(ImportError::BadRef(_))), "{name}");
    }
    assert!(matches!(create_ref(&bare, "refs/pipelines/1", "HEAD"), Err(ImportError::BadSha(_))));
    assert!(matches!(create_ref(&bare, "refs/pipelines/1", &"1".repeat(40)), Err(ImportError::Git { .. })));
}
