use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::os::unix::net::UnixListener;
use std::path::Path;

use rustix::fs::{Mode, OFlags, mkdirat, open, openat};

use super::*;

fn mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

fn snapshot(root: &Path) -> Snapshot {
    Snapshot::take(vec![ScrubRoot::new(root).unwrap()]).unwrap()
}

#[test]
fn what_a_job_locked_is_removed() {
    let folder = tempfile::tempdir().unwrap();
    let tree = folder.path().join("tree");
    for name in ["unreadable", "locked", "blind"] {
        fs::create_dir_all(tree.join(name).join("deeper")).unwrap();
        fs::write(tree.join(name).join("file"), "x").unwrap();
    }
    mode(&tree.join("unreadable"), 0o000);
    mode(&tree.join("locked"), 0o500);
    mode(&tree.join("blind"), 0o300);
    mode(&tree, 0o000);
    remove_tree(&tree).unwrap();
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn a_tree_deeper_than_any_path_is_removed() {
    let folder = tempfile::tempdir().unwrap();
    let tree = folder.path().join("tree");
    fs::create_dir(&tree).unwrap();
    let flags = OFlags::RDONLY | OFlags::DIRECTORY;
    let mut at = open(&tree, flags, Mode::empty()).unwrap();
    for _ in 0..5000 {
        mkdirat(&at, "a-folder-in-a-folder", Mode::RWXU).unwrap();
        at = openat(&at, "a-folder-in-a-folder", flags, Mode::empty()).unwrap();
    }
    remove_tree(&tree).unwrap();
    assert!(!tree.exists());
}

#[test]
fn links_sockets_and_pipes_go_and_nothing_outside_is_touched() {
    let folder = tempfile::tempdir().unwrap();
    let outside = tempfile::tempdir().unwrap();
    let kept = outside.path().join("kept");
    fs::write(&kept, "x").unwrap();
    mode(outside.path(), 0o500);
    let tree = folder.path().join("tree");
    fs::create_dir(&tree).unwrap();
    symlink(outside.path(), tree.join("folder")).unwrap();
    symlink(&kept, tree.join("file")).unwrap();
    symlink("/nowhere", tree.join("dangling")).unwrap();
    let _socket = UnixListener::bind(tree.join("socket")).unwrap();
    fs::hard_link(&kept, tree.join("hard")).unwrap_or_default();
    remove_tree(&tree).unwrap();
    assert!(!tree.exists());
    assert_eq!(fs::read(&kept).unwrap(), b"x");
    assert_eq!(fs::metadata(outside.path()).unwrap().permissions().mode() & 0o777, 0o500);
    mode(outside.path(), 0o700);

    symlink(outside.path(), &tree).unwrap();
    remove_tree(&tree).unwrap();
    assert!(tree.symlink_metadata().is_err() && kept.exists(), "a link itself is removed, not what it leads to");
    remove_tree(&tree).unwrap();
    remove_tree(&folder.path().join("no/such/folder")).unwrap();
}

#[test]
fn scrubbing_removes_what_is_new_at_every_depth_and_leaves_the_rest() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    fs::create_dir_all(root.join("old/inner")).unwrap();
    fs::write(root.join("old/file"), "before").unwrap();
    fs::write(root.join("old/replaced"), "before").unwrap();
    let before = snapshot(root);
    fs::write(root.join("old/file"), "changed").unwrap();
    fs::write(root.join("old/new"), "x").unwrap();
    fs::write(root.join("old/other"), "x").unwrap();
    fs::rename(root.join("old/other"), root.join("old/replaced")).unwrap();
    fs::create_dir_all(root.join("new/deep/deeper")).unwrap();
    mode(&root.join("new/deep"), 0o000);
    fs::write(root.join("old/inner/.hidden"), "x").unwrap();
    before.restore().unwrap();
    let names = |path: &Path| {
        let mut names: Vec<_> = fs::read_dir(path).unwrap().map(|e| e.unwrap().file_name()).collect();
        names.sort();
        names
    };
    assert_eq!(names(root), ["old"]);
    assert_eq!(names(&root.join("old")), ["file", "inner"], "a file under an old name is new");
    assert_eq!(names(&root.join("old/inner")).len(), 0);
    assert_eq!(fs::read(root.join("old/file")).unwrap(), b"changed");
    before.restore().unwrap();
}

#[test]
fn a_root_that_became_a_link_is_not_followed_and_one_that_is_gone_is_empty() {
    let folder = tempfile::tempdir().unwrap();
    let (root, outside) = (folder.path().join("root"), folder.path().join("outside"));
    fs::create_dir(&root).unwrap();
    fs::create_dir(&outside).unwrap();
    let before = snapshot(&root);
    fs::remove_dir(&root).unwrap();
    before.restore().unwrap();
    fs::write(outside.join("kept"), "x").unwrap();
    symlink(&outside, &root).unwrap();
    assert!(before.restore().is_err());
    assert!(outside.join("kept").exists());
}

#[test]
fn no_dangerous_path_is_a_scrub_root() {
    let folder = tempfile::tempdir().unwrap();
    let link = folder.path().join("link");
    symlink("/tmp", &link).unwrap();
    let link = link.to_str().unwrap();
    for path in ["/", "//", "/.", "tmp", "", ".", "/tmp/..", "/tmp/../..", link] {
        assert!(ScrubRoot::new(Path::new(path)).is_err(), "{path:?}");
    }
    assert_eq!(ScrubRoot::new(Path::new("/tmp/x")).unwrap().path(), Path::new("/tmp/x"));
}
