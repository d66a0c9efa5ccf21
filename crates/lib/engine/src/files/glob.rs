//! Patterns of paths, as the official runner reads them (doublestar): `*` and `?` stop at a slash, `**` as a whole part
//! stands for any number of folders, none among them, `[a-z]` and `[^a-z]` are classes, `{a,b}` are alternatives, and a
//! backslash takes the meaning from what follows it.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// Patterns that alternatives may come to. More is no pattern that somebody means.
const MOST_ALTERNATIVES: usize = 1000;

/// The text is no pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("syntax error in pattern")]
pub(crate) struct BadPattern;

/// A pattern of paths relative to a folder.
#[derive(Debug)]
pub(crate) struct Glob {
    alternatives: Vec<Vec<Part>>,
}

#[derive(Debug)]
enum Part {
    /// Any number of folders.
    Deep,
    Name(Name),
}

/// The pattern of one name.
#[derive(Debug, Default)]
pub(crate) struct Name(Vec<Token>);

#[derive(Clone, Debug, PartialEq)]
enum Token {
    Char(char),
    Any,
    Many,
    Class { negated: bool, ranges: Vec<(char, char)> },
}

impl Glob {
    /// Reads a cleaned pattern.
    pub(crate) fn new(pattern: &str) -> Result<Self, BadPattern> {
        let mut texts = Vec::new();
        expand_braces(pattern, &mut texts)?;
        let alternative = |text: &String| {
            text.split('/').filter(|part| !part.is_empty()).map(Part::new).collect::<Result<Vec<_>, _>>()
        };
        Ok(Self { alternatives: texts.iter().map(alternative).collect::<Result<_, _>>()? })
    }

    /// Whether the pattern means the path.
    pub(crate) fn matches(&self, path: &str) -> bool {
        self.alternatives.iter().any(|parts| {
            let names = path.split('/').filter(|name| !name.is_empty() && *name != ".");
            names.fold(closure(parts, [0]), |at, name| step(parts, &at, name)).contains(&parts.len())
        })
    }

    /// The paths below `root` that the pattern means. Links are followed before the first part with a meaning, as far as
    /// the pattern is plain text, and not from there on.
    pub(crate) fn find(&self, root: &Path) -> BTreeSet<String> {
        let mut found = BTreeSet::new();
        for parts in &self.alternatives {
            let start = closure(parts, [0]);
            if start.contains(&parts.len()) && root.is_dir() {
                found.insert(".".to_owned());
            }
            Search { root, parts, found: &mut found }.below("", &start, true);
        }
        found
    }
}

/// One search through the folders.
struct Search<'a> {
    root: &'a Path,
    parts: &'a [Part],
    found: &'a mut BTreeSet<String>,
}

impl Search<'_> {
    fn below(&mut self, folder: &str, at: &BTreeSet<usize>, follows: bool) {
        let mut ahead = at.iter().filter_map(|index| self.parts.get(*index));
        let (names, follows) = match (ahead.next(), ahead.next()) {
            (Some(Part::Name(name)), None) => match name.literal() {
                Some(name) => (vec![name], follows),
                None => (names_in(&self.root.join(folder)), false),
            },
            (None, _) => return,
            _ => (names_in(&self.root.join(folder)), false),
        };
        for name in names {
            let next = step(self.parts, at, &name);
            if next.is_empty() {
                continue;
            }
            let path = if folder.is_empty() { name.clone() } else { format!("{folder}/{name}") };
            let whole = self.root.join(&path);
            let Ok(entry) = fs::symlink_metadata(&whole) else { continue };
            let broken = follows && entry.is_symlink() && !whole.exists();
            let is_folder = entry.is_dir() || (follows && entry.is_symlink() && whole.is_dir());
            let ends = if is_folder { next.contains(&self.parts.len()) } else { self.ends_with(at, &name) };
            if ends && !broken {
                self.found.insert(path.clone());
            }
            if is_folder && next.iter().any(|index| *index < self.parts.len()) {
                self.below(&path, &next, follows);
            }
        }
    }

    /// Whether the pattern's last part means the name: what is no folder is not meant by a `**` after it.
    fn ends_with(&self, at: &BTreeSet<usize>, name: &str) -> bool {
        let last = |index: &usize| index + 1 == self.parts.len();
        at.iter().filter(|index| last(index)).filter_map(|index| self.parts.get(*index)).any(|part| match part {
            Part::Deep => true,
            Part::Name(pattern) => pattern.matches(name),
        })
    }
}

/// The names in a folder, in order. One that cannot be read has none; a name that is no text cannot be meant by any.
fn names_in(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
    names.sort();
    names
}

/// The places in the pattern after one more name.
fn step(parts: &[Part], at: &BTreeSet<usize>, name: &str) -> BTreeSet<usize> {
    let next = at.iter().filter_map(|index| match parts.get(*index)? {
        Part::Deep => Some(*index),
        Part::Name(pattern) => pattern.matches(name).then_some(index + 1),
    });
    closure(parts, next)
}

/// With each `**` also what follows it.
fn closure(parts: &[Part], at: impl IntoIterator<Item = usize>) -> BTreeSet<usize> {
    let mut all = BTreeSet::new();
    for mut index in at {
        while all.insert(index) && matches!(parts.get(index), Some(Part::Deep)) {
            index += 1;
        }
    }
    all
}

impl Part {
    fn new(text: &str) -> Result<Self, BadPattern> {
        if text == "**" { Ok(Self::Deep) } else { Name::new(text).map(Self::Name) }
    }
}

impl Name {
    /// Reads the pattern of a name. A slash in it is a character like others.
    pub(crate) fn new(text: &str) -> Result<Self, BadPattern> {
        let mut tokens = Vec::new();
        let mut chars = text.chars().peekable();
        while let Some(c) = chars.next() {
            tokens.push(match c {
                '*' => Token::Many,
                '?' => Token::Any,
                '\\' => Token::Char(chars.next().ok_or(BadPattern)?),
                '[' => class(&mut chars)?,
                other => Token::Char(other),
            });
        }
        tokens.dedup_by(|next, last| *next == Token::Many && *last == Token::Many);
        Ok(Self(tokens))
    }

    /// Whether the whole text is meant.
    pub(crate) fn matches(&self, text: &str) -> bool {
        let chars: Vec<char> = text.chars().collect();
        let (mut at, mut read) = (0, 0);
        // Where the last star is, and what it has taken so far.
        let mut star: Option<(usize, usize)> = None;
        while read < chars.len() {
            match self.0.get(at) {
                Some(Token::Many) => {
                    star = Some((at, read));
                    at += 1;
                    continue;
                }
                Some(token) if token.means(chars[read]) => {
                    at += 1;
                    read += 1;
                    continue;
                }
                _ => {}
            }
            let Some((star_at, taken)) = star else { return false };
            star = Some((star_at, taken + 1));
            at = star_at + 1;
            read = taken + 1;
        }
        self.0[at..].iter().all(|token| *token == Token::Many)
    }

    /// The one name that is meant, if it is only one.
    fn literal(&self) -> Option<String> {
        self.0.iter().map(|token| if let Token::Char(c) = token { Some(*c) } else { None }).collect()
    }
}

impl Token {
    fn means(&self, c: char) -> bool {
        match self {
            Self::Char(own) => *own == c,
            Self::Any | Self::Many => true,
            Self::Class { negated, ranges } => ranges.iter().any(|(low, high)| (*low..=*high).contains(&c)) != *negated,
        }
    }
}

/// A class, after its `[`.
fn class(chars: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Result<Token, BadPattern> {
    let negated = chars.next_if(|c| matches!(c, '^' | '!')).is_some();
    let mut ranges = Vec::new();
    // The character that a hyphen would make a range from.
    let mut low: Option<char> = None;
    loop {
        let c = match chars.next().ok_or(BadPattern)? {
            ']' if ranges.is_empty() => return Err(BadPattern),
            ']' => return Ok(Token::Class { negated, ranges }),
            '-' if low.is_some() && chars.peek().is_some_and(|next| *next != ']') => {
                let high = plain(chars)?;
                ranges.extend(low.take().map(|low| (low, high)));
                continue;
            }
            '\\' => chars.next().ok_or(BadPattern)?,
            other => other,
        };
        ranges.push((c, c));
        low = Some(c);
    }
}

/// The next character of a class, without its backslash.
fn plain(chars: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Result<char, BadPattern> {
    match chars.next().ok_or(BadPattern)? {
        '\\' => chars.next().ok_or(BadPattern),
        other => Ok(other),
    }
}

/// Writes a pattern out once for each combination of its alternatives.
fn expand_braces(pattern: &str, out: &mut Vec<String>) -> Result<(), BadPattern> {
    let Some((open, close, commas)) = first_braces(pattern)? else {
        if out.len() >= MOST_ALTERNATIVES {
            return Err(BadPattern);
        }
        out.push(pattern.to_owned());
        return Ok(());
    };
    let (before, after) = (&pattern[..open], &pattern[close + 1..]);
    let mut start = open + 1;
    for end in commas.into_iter().chain([close]) {
        expand_braces(&format!("{before}{}{after}", &pattern[start..end]), out)?;
        start = end + 1;
    }
    Ok(())
}

/// Where the first braces are, and the commas between them. An escaped character and a class are no braces.
fn first_braces(pattern: &str) -> Result<Option<(usize, usize, Vec<usize>)>, BadPattern> {
    let (mut open, mut depth, mut commas) = (0, 0_usize, Vec::new());
    let mut bytes = pattern.bytes().enumerate();
    while let Some((at, byte)) = bytes.next() {
        match byte {
            b'\\' => {
                bytes.next();
            }
            b'[' if depth == 0 => {
                while let Some((_, inside)) = bytes.next() {
                    match inside {
                        b'\\' => drop(bytes.next()),
                        b']' => break,
                        _ => {}
                    }
                }
            }
            b'{' => {
                depth += 1;
                if depth == 1 {
                    open = at;
                }
            }
            b',' if depth == 1 => commas.push(at),
            b'}' => {
                depth = depth.checked_sub(1).ok_or(BadPattern)?;
                if depth == 0 {
                    return Ok(Some((open, at, commas)));
                }
            }
            _ => {}
        }
    }
    if depth > 0 { Err(BadPattern) } else { Ok(None) }
}

/// A path or pattern without empty parts, `.` and, as far as it has something to go up from, `..`: by its text alone.
/// Nothing left is `.`.
pub(crate) fn clean(path: &str) -> String {
    let rooted = path.starts_with('/');
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => drop(parts.pop()),
            ".." if rooted => {}
            other => parts.push(other),
        }
    }
    match (rooted, parts.is_empty()) {
        (true, _) => format!("/{}", parts.join("/")),
        (false, true) => ".".to_owned(),
        (false, false) => parts.join("/"),
    }
}

/// A pattern's leading folders without meaning, and the rest; the first is `.` where there are none.
pub(crate) fn split(pattern: &str) -> (String, &str) {
    let mut slash = None;
    let mut bytes = pattern.bytes().enumerate();
    while let Some((at, byte)) = bytes.next() {
        match byte {
            b'\\' => drop(bytes.next()),
            b'/' => slash = Some(at),
            b'*' | b'?' | b'[' | b'{' => break,
            _ => {}
        }
    }
    match slash {
        None => (".".to_owned(), pattern),
        Some(0) => ("/".to_owned(), &pattern[1..]),
        Some(at) => (unescaped(&pattern[..at]), &pattern[at + 1..]),
    }
}

fn unescaped(text: &str) -> String {
    let mut chars = text.chars();
    let mut out = String::with_capacity(text.len());
    while let Some(c) = chars.next() {
        out.extend(if c == '\\' { chars.next() } else { Some(c) });
    }
    out
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn patterns_mean_what_they_mean_to_the_official_runner() {
        for (pattern, path, meant) in [
            ("abc", "abc", true),
            ("*", "abc", true),
            ("*", ".hidden", true),
            ("a*", "ab/c", false),
            ("a*/b", "abc/b", true),
            ("a*/b", "a/c/b", false),
            ("a*b*c*d*e*/f", "axbxcxdxexxx/f", true),
            ("a*b?c*x", "abxbbxdbxebxczzy", false),
            ("ab[b-d]", "abc", true),
            ("ab[^b-d]", "abc", false),
            ("ab[!e-g]", "abc", true),
            ("a?b", "a\u{263a}b", true),
            ("a?b", "a/b", false),
            ("[\\]a]", "]", true),
            ("[x-]", "-", true),
            ("[-x]", "a", false),
            ("[a-b-d]", "-", true),
            ("[a-b-d]", "c", false),
            ("a/**", "a", true),
            ("a/**", "a/b/c", true),
            ("**/c", "c", true),
            ("**/c", "a/b/c", true),
            ("**/c", "a/abc", false),
            ("a/**/d", "a/b/c/d", true),
            ("a/**/b", "a/b", true),
            ("abc**", "abc/b", false),
            ("abc**", "abcde", true),
            ("a/\\**", "a/*b", true),
            ("a/\\**", "a/b/c", false),
            ("out/drop/**/*", "out/drop", false),
            ("out/drop/**/*", "out/drop/b", true),
            ("ab{c,d,*}", "abcde", true),
            ("a{,bc}", "a", true),
            ("a/{b/c,c/b}", "a/c/b", true),
            ("{a/{b,c},abc}", "a/c", true),
            ("{a/{b,c},abc}", "a/b/c", false),
            ("f/\\{a,b\\}/{c,other*}", "f/{a,b}/c", true),
            ("e/\\}", "e/}", true),
            ("[{]x", "{x", true),
        ] {
            assert_eq!(Glob::new(pattern).unwrap().matches(path), meant, "{pattern} {path}");
        }
        for bad in ["[", "a[", "[^bc", "[]a]", "\\", "ab{c,d", "{a{b}", "e/}"] {
            assert_eq!(Glob::new(bad).unwrap_err(), BadPattern, "{bad}");
        }
        assert!(Glob::new(&"{a,b}".repeat(20)).is_err(), "no pattern eats the memory");
    }

    #[test]
    fn the_search_follows_links_only_before_the_first_part_with_a_meaning() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        fs::create_dir_all(root.join("real/deep")).unwrap();
        fs::write(root.join("real/deep/file.txt"), "x").unwrap();
        fs::write(root.join("real/.hidden"), "x").unwrap();
        symlink("real", root.join("link")).unwrap();
        symlink("nowhere", root.join("broken")).unwrap();
        let find = |pattern: &str| Vec::from_iter(Glob::new(pattern).unwrap().find(root));
        assert_eq!(find("real"), ["real"]);
        assert_eq!(find("link/deep/*.txt"), ["link/deep/file.txt"]);
        assert_eq!(find("l*/deep"), [""; 0]);
        assert_eq!(find("**/*.txt"), ["real/deep/file.txt"]);
        assert_eq!(find("real/**"), ["real", "real/.hidden", "real/deep", "real/deep/file.txt"]);
        assert_eq!(find("broken"), [""; 0], "said in full, it is followed");
        assert_eq!(find("{b*,none}"), ["broken"]);
        assert_eq!(find("link/**"), ["link", "link/.hidden", "link/deep", "link/deep/file.txt"]);
        assert_eq!(find("*/**"), ["real", "real/.hidden", "real/deep", "real/deep/file.txt"]);
        assert_eq!(find("real/.hidden/**"), [""; 0], "no folder");
        assert_eq!(find("**")[..3], [".", "broken", "link"]);
        assert_eq!(find("real/{deep,none}/*"), ["real/deep/file.txt"]);
        assert_eq!(find("none/**"), [""; 0]);
    }

    #[test]
    fn paths_are_cleaned_by_their_text() {
        for (path, cleaned) in [
            ("", "."),
            ("./out//keep/", "out/keep"),
            ("a/../b", "b"),
            ("a/../../b", "../b"),
            ("/../x/.", "/x"),
            ("/", "/"),
            ("..", ".."),
        ] {
            assert_eq!(clean(path), cleaned, "{path}");
        }
    }

    #[test]
    fn a_pattern_is_split_before_its_first_meaning() {
        for (pattern, base, rest) in [
            ("out/*", "out", "*"),
            ("*", ".", "*"),
            ("/a/b?c/d", "/a", "b?c/d"),
            ("/[a]", "/", "[a]"),
            ("a\\*/x/{b,c}", "a*/x", "{b,c}"),
        ] {
            assert_eq!(split(pattern), (base.to_owned(), rest), "{pattern}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_it_panic(pattern in "[-a*?\\[\\]{},/!^\\\\]{0,12}", path in "[a/]{0,6}") {
            if let Ok(glob) = Glob::new(&clean(&pattern)) {
                glob.matches(&path);
            }
        }
    }
}
