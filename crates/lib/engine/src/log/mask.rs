//! Masking: no masked value, token or signed URL leaves the runner, wherever the chunks of output break.
//!
//! Two passes over the bytes of one stream. The first replaces whole values (longest first); the second cuts what
//! follows a token's prefix or a secret URL parameter. Each holds back the few bytes at the end that may be the start
//! of something to mask, until more comes or the stream ends.

use std::sync::Arc;

/// What stands in the log instead.
const MASKED: &[u8] = b"[MASKED]";

/// Prefixes of GitLab's own tokens, masked unless `FF_MASK_ALL_DEFAULT_TOKENS` is off (then only the first).
const TOKEN_PREFIXES: [&str; 14] = [
    "glpat-",
    "gloas-",
    "gldt-",
    "glrt-",
    "glcbt-",
    "glrtr-",
    "glptt-",
    "glft-",
    "glimt-",
    "glagent-",
    "glsoat-",
    "glffct-",
    "_gitlab_session=",
    "gltok-",
];
/// How many prefixes beside the defaults a server may add; the official runner's limit on them all is fifteen, and ours
/// is wider because a prefix dropped silently is a token shown.
const EXTRA_PREFIXES: usize = 64;

/// URL parameters whose value is a secret; compared without case, `-` and `_` alike.
const URL_PARAMETERS: [&str; 6] =
    ["private_token", "authenticity_token", "rss_token", "x_amz_signature", "x_amz_credential", "x_amz_security_token"];

/// A line of a masked value shorter than this is not masked by itself: it would blank out half of the log.
const SHORTEST_LINE: usize = 8;

/// What to mask in one job's log.
#[derive(Debug, Default)]
pub struct Masks {
    /// Longest first.
    values: Vec<Vec<u8>>,
    prefixes: Vec<Vec<u8>>,
    parameters: Vec<Vec<u8>>,
    /// Bytes that a value starts with.
    value_starts: Starts,
    /// Bytes that a prefix or a parameter starts with.
    trigger_starts: Starts,
}

impl Masks {
    /// Masks `values` (trimmed, the empty ones dropped, and of those with several lines each longer line too), the
    /// default token prefixes (all, or only that of personal access tokens) and the prefixes that the server named.
    #[must_use]
    pub fn new<'a>(values: impl IntoIterator<Item = &'a str>, all_defaults: bool, prefixes: &[String]) -> Self {
        let mut values: Vec<Vec<u8>> =
            values.into_iter().flat_map(parts).map(|part| part.as_bytes().to_vec()).collect();
        values.sort_unstable_by(|a, b| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
        values.dedup();
        let defaults = if all_defaults { TOKEN_PREFIXES.len() } else { 1 };
        let extra = prefixes.iter().map(|p| p.trim()).filter(|p| !p.is_empty()).take(EXTRA_PREFIXES);
        let prefixes: Vec<Vec<u8>> =
            TOKEN_PREFIXES[..defaults].iter().copied().chain(extra).map(|p| p.as_bytes().to_vec()).collect();
        let parameter = |name: &&str| ["?", "&"].map(|lead| format!("{lead}{name}=").into_bytes());
        let parameters: Vec<Vec<u8>> = URL_PARAMETERS.iter().flat_map(parameter).collect();
        let value_starts = Starts::of(&values);
        let mut trigger_starts = Starts::of(&prefixes);
        trigger_starts.add(&parameters);
        Self { values, prefixes, parameters, value_starts, trigger_starts }
    }
}

/// A value and, if it has several, its lines.
fn parts(value: &str) -> impl Iterator<Item = &str> {
    let value = value.trim();
    let lines =
        value.lines().map(str::trim).filter(move |line| line.len() >= SHORTEST_LINE && line.len() < value.len());
    std::iter::once(value).filter(|value| !value.is_empty()).chain(lines)
}

/// The bytes that anything to look for starts with.
#[derive(Debug)]
struct Starts([bool; 256]);

impl Default for Starts {
    fn default() -> Self {
        Self([false; 256])
    }
}

impl Starts {
    fn of(patterns: &[Vec<u8>]) -> Self {
        let mut starts = Self::default();
        starts.add(patterns);
        starts
    }

    fn add(&mut self, patterns: &[Vec<u8>]) {
        for first in patterns.iter().filter_map(|pattern| pattern.first()) {
            self.0[usize::from(*first)] = true;
        }
    }

    /// The next position from `from` on where something may start.
    fn next(&self, bytes: &[u8], from: usize) -> usize {
        bytes[from..].iter().position(|byte| self.0[usize::from(*byte)]).map_or(bytes.len(), |n| from + n)
    }
}

/// Masks one stream.
#[derive(Debug)]
pub struct Masker {
    masks: Arc<Masks>,
    /// Input that may be the start of a value.
    held_value: Vec<u8>,
    /// Output of the first pass that may be the start of a prefix or parameter.
    held_trigger: Vec<u8>,
    inside: Inside,
}

/// What the second pass is skipping.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Inside {
    Nothing,
    Token,
    Parameter,
}

impl Inside {
    fn skips(self, byte: u8) -> bool {
        match self {
            Self::Nothing => false,
            Self::Token => byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'=' | b'-'),
            Self::Parameter => {
                !byte.is_ascii_whitespace() && !matches!(byte, b'&' | b'"' | b'\'' | b'<' | b'>' | b'\x1b')
            }
        }
    }
}

impl Masker {
    /// A masker at the start of a stream.
    #[must_use]
    pub fn new(masks: Arc<Masks>) -> Self {
        Self { masks, held_value: Vec::new(), held_trigger: Vec::new(), inside: Inside::Nothing }
    }

    /// Takes more of the stream and returns what is safe to show.
    pub fn push(&mut self, bytes: &[u8]) -> Vec<u8> {
        self.step(bytes, false)
    }

    /// Ends the stream: what was held back is safe now.
    pub fn finish(&mut self) -> Vec<u8> {
        let out = self.step(&[], true);
        self.inside = Inside::Nothing;
        out
    }

    fn step(&mut self, bytes: &[u8], last: bool) -> Vec<u8> {
        self.held_value.extend_from_slice(bytes);
        let plain = self.values(last);
        self.held_trigger.extend_from_slice(&plain);
        self.triggers(last)
    }

    /// First pass.
    fn values(&mut self, last: bool) -> Vec<u8> {
        let input = std::mem::take(&mut self.held_value);
        if self.masks.values.is_empty() {
            return input;
        }
        let mut out = Vec::with_capacity(input.len());
        let (mut shown, mut at) = (0, self.masks.value_starts.next(&input, 0));
        while at < input.len() {
            let rest = &input[at..];
            let whole = self.masks.values.iter().find(|value| rest.starts_with(value)).map_or(0, Vec::len);
            let longer = |value: &&Vec<u8>| value.len() > whole.max(rest.len());
            if !last && self.masks.values.iter().take_while(longer).any(|value| value.starts_with(rest)) {
                break;
            }
            if whole > 0 {
                out.extend_from_slice(&input[shown..at]);
                out.extend_from_slice(MASKED);
                shown = at + whole;
            }
            at = self.masks.value_starts.next(&input, at + whole.max(1));
        }
        out.extend_from_slice(&input[shown..at]);
        self.held_value = input[at..].to_vec();
        out
    }

    /// Second pass.
    fn triggers(&mut self, last: bool) -> Vec<u8> {
        let input = std::mem::take(&mut self.held_trigger);
        let masks = Arc::clone(&self.masks);
        let mut out = Vec::with_capacity(input.len());
        let mut at = 0;
        while at < input.len() {
            if self.inside.skips(input[at]) {
                at += 1;
                continue;
            }
            self.inside = Inside::Nothing;
            let start = masks.trigger_starts.next(&input, at);
            out.extend_from_slice(&input[at..start]);
            at = start;
            match trigger(&masks, &input[at..], last) {
                Trigger::Found(length, inside) => {
                    out.extend_from_slice(&input[at..at + length]);
                    out.extend_from_slice(MASKED);
                    self.inside = inside;
                    at += length;
                }
                Trigger::Undecided => break,
                Trigger::None => {
                    out.extend_from_slice(&input[at..(at + 1).min(input.len())]);
                    at += 1;
                }
            }
        }
        self.held_trigger = input.get(at..).unwrap_or_default().to_vec();
        out
    }
}

/// What stands at the start of some bytes.
enum Trigger {
    Found(usize, Inside),
    Undecided,
    None,
}

fn trigger(masks: &Masks, rest: &[u8], last: bool) -> Trigger {
    if let Some(prefix) = masks.prefixes.iter().filter(|prefix| rest.starts_with(prefix)).max_by_key(|p| p.len()) {
        return Trigger::Found(prefix.len(), Inside::Token);
    }
    if let Some(name) =
        masks.parameters.iter().find(|name| rest.len() >= name.len() && alike(&rest[..name.len()], name))
    {
        return Trigger::Found(name.len(), Inside::Parameter);
    }
    let starts_prefix = masks.prefixes.iter().any(|prefix| prefix.starts_with(rest));
    let starts_name = masks.parameters.iter().any(|name| rest.len() < name.len() && alike(rest, &name[..rest.len()]));
    if !last && (starts_prefix || starts_name) { Trigger::Undecided } else { Trigger::None }
}

/// Equal without case, `-` and `_` alike.
fn alike(seen: &[u8], name: &[u8]) -> bool {
    let fold = |byte: u8| if byte == b'-' { b'_' } else { byte.to_ascii_lowercase() };
    seen.iter().zip(name).all(|(a, b)| fold(*a) == fold(*b))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn masks(values: &[&str]) -> Arc<Masks> {
        Arc::new(Masks::new(values.iter().copied(), true, &["acme-".to_owned()]))
    }

    fn in_chunks(masks: &Arc<Masks>, chunks: &[&[u8]]) -> String {
        let mut masker = Masker::new(Arc::clone(masks));
        let mut out: Vec<u8> = chunks.iter().flat_map(|chunk| masker.push(chunk)).collect();
        out.extend(masker.finish());
        String::from_utf8(out).unwrap()
    }

    /// The text, whole, and cut at every pair of places.
    fn always(values: &[&str], text: &str, want: &str) {
        let masks = masks(values);
        let bytes = text.as_bytes();
        for first in 0..=bytes.len() {
            for second in first..=bytes.len() {
                let chunks = [&bytes[..first], &bytes[first..second], &bytes[second..]];
                assert_eq!(in_chunks(&masks, &chunks), want, "cut at {first} and {second}");
            }
        }
        let single: Vec<&[u8]> = bytes.chunks(1).collect();
        assert_eq!(in_chunks(&masks, &single), want, "byte by byte");
    }

    #[test]
    fn values_are_masked_wherever_the_chunks_break() {
        always(&["hush-hush-42"], "a hush-hush-42 b hush-hush-4 c\n", "a [MASKED] b hush-hush-4 c\n");
    }

    #[test]
    fn the_longest_value_wins() {
        always(&["secret", "secret-longer"], "secret-longer secret-long", "[MASKED] [MASKED]-long");
    }

    #[test]
    fn values_that_overlap_themselves_are_found() {
        always(&["aab"], "aaab aabaab", "a[MASKED] [MASKED][MASKED]");
    }

    #[test]
    fn a_value_with_lines_is_masked_whole_and_by_line() {
        always(&["first-line-x\nsecond-line"], "first-line-x\nsecond-line\nsecond-line!", "[MASKED]\n[MASKED]!");
    }

    #[test]
    fn tokens_keep_their_prefix_only() {
        always(&[], "x glpat-0123_ab.c=d- y glcbt- acme-zz;", "x glpat-[MASKED] y glcbt-[MASKED] acme-[MASKED];");
        always(&[], "glrtr-abc glrt-abc gltok-q glxx-q", "glrtr-[MASKED] glrt-[MASKED] gltok-[MASKED] glxx-q");
    }

    #[test]
    fn url_parameters_are_cut() {
        always(
            &[],
            "GET /a?x=1&Private-Token=abc&y=2 ?X-Amz-Signature=ff\"&rss_tokens=1",
            "GET /a?x=1&Private-Token=[MASKED]&y=2 ?X-Amz-Signature=[MASKED]\"&rss_tokens=1",
        );
    }

    #[test]
    fn a_value_inside_a_token_does_not_end_the_masking_of_the_value() {
        always(&["s3cr3t value"], "glpat-abs3cr3t value end", "glpat-[MASKED][MASKED] end");
    }

    #[test]
    fn only_personal_tokens_are_masked_when_the_flag_is_off() {
        let masks = Arc::new(Masks::new([], false, &[]));
        assert_eq!(in_chunks(&masks, &[b"glpat-x glrt-x"]), "glpat-[MASKED] glrt-x");
    }

    #[test]
    fn empty_values_mask_nothing() {
        assert_eq!(in_chunks(&masks(&["", "  \n"]), &[b"abc"]), "abc");
    }

    proptest::proptest! {
        #[test]
        fn the_chunks_never_matter(text in "[ab\n-]{0,40}(glpat-)?[ab]{0,6}", cut in 0_usize..50, values in proptest::collection::vec("[ab\n-]{1,5}", 0..4)) {
            let values: Vec<&str> = values.iter().map(String::as_str).collect();
            let masks = masks(&values);
            let bytes = text.as_bytes();
            let cut = cut.min(bytes.len());
            let whole = in_chunks(&masks, &[bytes]);
            proptest::prop_assert_eq!(in_chunks(&masks, &[&bytes[..cut], &bytes[cut..]]), whole);
        }
    }
}
