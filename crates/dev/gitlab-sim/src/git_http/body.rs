//! The body of a round of fetching, which git compresses when it is long.

use std::io::Read as _;

use flate2::read::GzDecoder;

use super::Request;

/// Bytes of a body after decompression. Git sends 50 for each commit that it wants or has.
const LIMIT: u64 = 32 * 1024 * 1024;

/// The body is not taken.
#[derive(Debug, thiserror::Error)]
pub(super) enum BodyError {
    #[error("the content type is not `application/x-git-upload-pack-request`")]
    Type,
    #[error("the content coding `{0}` is not known: send gzip or none")]
    Coding(String),
    #[error("the body is not gzip")]
    Gzip(#[source] std::io::Error),
    #[error("the body has more than {LIMIT} bytes")]
    TooLong,
}

impl BodyError {
    /// The HTTP status that says so.
    pub(super) fn status(&self) -> u16 {
        match self {
            Self::Type | Self::Coding(_) => 415,
            Self::Gzip(_) => 400,
            Self::TooLong => 413,
        }
    }
}

/// The body as git wrote it.
pub(super) fn read(request: &Request<'_>) -> Result<Vec<u8>, BodyError> {
    if request.header("content-type") != Some("application/x-git-upload-pack-request") {
        return Err(BodyError::Type);
    }
    match request.header("content-encoding").map(str::to_ascii_lowercase).as_deref() {
        None | Some("" | "identity") => within_limit(request.body.clone()),
        Some("gzip" | "x-gzip") => {
            let mut plain = Vec::new();
            // One byte more than allowed is enough to know.
            GzDecoder::new(&request.body[..]).take(LIMIT + 1).read_to_end(&mut plain).map_err(BodyError::Gzip)?;
            within_limit(plain)
        }
        Some(other) => Err(BodyError::Coding(other.to_owned())),
    }
}

fn within_limit(plain: Vec<u8>) -> Result<Vec<u8>, BodyError> {
    if u64::try_from(plain.len()).is_ok_and(|length| length <= LIMIT) { Ok(plain) } else { Err(BodyError::TooLong) }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    fn status(coding: Option<&str>, body: Vec<u8>) -> Result<usize, u16> {
        let mut headers = vec![("content-type".to_owned(), "application/x-git-upload-pack-request".to_owned())];
        headers.extend(coding.map(|coding| ("Content-Encoding".to_owned(), coding.to_owned())));
        let request = Request { method: "POST", path: "", query: None, headers, body };
        read(&request).map(|plain| plain.len()).map_err(|error| error.status())
    }

    fn gzip(length: usize) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(&vec![b'0'; length]).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn bodies_are_unpacked_up_to_a_limit() {
        let limit = usize::try_from(LIMIT).unwrap();
        assert_eq!(status(None, b"0000".to_vec()), Ok(4));
        assert_eq!(status(Some("GZIP"), gzip(5_000)), Ok(5_000));
        assert_eq!(status(Some("x-gzip"), gzip(limit)), Ok(limit));
        assert_eq!(status(Some("gzip"), gzip(limit + 1)), Err(413));
        assert_eq!(status(None, vec![0; limit + 1]), Err(413));
        assert_eq!(status(Some("gzip"), b"0000".to_vec()), Err(400));
        assert_eq!(status(Some("gzip"), gzip(5_000)[..20].to_vec()), Err(400));
        assert_eq!(status(Some("br"), b"0000".to_vec()), Err(415));
    }

    #[test]
    fn other_content_types_are_refused() {
        let headers = vec![("Content-Type".to_owned(), "application/x-www-form-urlencoded".to_owned())];
        let request = Request { method: "POST", path: "", query: None, headers, body: Vec::new() };
        assert_eq!(read(&request).unwrap_err().status(), 415);
    }
}
