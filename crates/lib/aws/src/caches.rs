//! Signed URLs of the bucket with the jobs' caches.
//!
//! Signing is arithmetic over keys that the process has: no call is made. The URL lets whoever has it use one object in one
//! way for some minutes, so that a runner carries the files itself and no right of ours is near the job.

use std::time::{Duration, SystemTime};

use aws_sigv4::http_request::{
    PayloadChecksumKind, PercentEncodingMode, SessionTokenMode, SignableBody, SignableRequest, SignatureLocation,
    SigningSettings, UriPathNormalizationMode, sign,
};
use aws_sigv4::sign::v4;
use runnerless_core::cache::{Allowed, CacheUse};
use runnerless_core::time::Timestamp;
use zeroize::Zeroizing;

use crate::place::{Credentials, Place};

/// The bucket, and who signs.
#[derive(Clone, Debug)]
pub struct CacheBucket {
    /// Scheme, host and, where the bucket is in the path, the bucket: everything before the object's slash.
    root: String,
    host: String,
    region: String,
    credentials: Credentials,
}

/// A URL could not be signed. Nothing of it is in the text.
#[derive(Debug, thiserror::Error)]
#[error("the cache's URL cannot be signed: {0}")]
pub struct SignError(String);

impl CacheBucket {
    /// The bucket of this name, which is in the place's region.
    #[must_use]
    pub fn new(name: &str, place: &Place, credentials: &Credentials) -> Self {
        let address = place.address("s3");
        let (scheme, host) = address.split_once("://").unwrap_or(("https", &address));
        // A name with a dot is none of the hosts that AWS's certificate is for, and what stands in for AWS has no hosts at all.
        let in_path = place.endpoint.is_some() || name.contains('.');
        let (host, path) =
            if in_path { (host.to_owned(), format!("/{name}")) } else { (format!("{name}.{host}"), String::new()) };
        let root = format!("{scheme}://{host}{path}");
        Self { root, host, region: place.region.clone(), credentials: credentials.clone() }
    }

    /// A URL for one use of an object: GET to restore it, PUT to save it. Nothing but the host is signed of the headers, so
    /// that whoever has it may send what GitLab's runners send.
    ///
    /// # Errors
    /// See [`SignError`].
    pub fn sign(&self, allowed: &Allowed, what: CacheUse, now: Timestamp) -> Result<Zeroizing<String>, SignError> {
        let wrong = |error: &dyn std::fmt::Display| SignError(error.to_string());
        let url = format!("{}/{}", self.root, encoded(&allowed.object));
        let identity = self.credentials.provider().into();
        let mut settings = SigningSettings::default();
        settings.signature_location = SignatureLocation::QueryParams;
        settings.expires_in = Some(Duration::from_millis(allowed.valid.0.unsigned_abs()));
        // As S3 wants it: the path is signed as it is sent.
        settings.percent_encoding_mode = PercentEncodingMode::Single;
        settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
        settings.payload_checksum_kind = PayloadChecksumKind::NoHeader;
        settings.session_token_mode = SessionTokenMode::Include;
        let params = v4::SigningParams::builder()
            .identity(&identity)
            .region(&self.region)
            .name("s3")
            .time(SystemTime::UNIX_EPOCH + Duration::from_millis(now.0.unsigned_abs()))
            .settings(settings)
            .build()
            .map_err(|error| wrong(&error))?
            .into();
        let method = match what {
            CacheUse::Restore => "GET",
            CacheUse::Save => "PUT",
        };
        let headers = [("host", self.host.as_str())];
        let request = SignableRequest::new(method, &url, headers.into_iter(), SignableBody::UnsignedPayload);
        let signed = sign(request.map_err(|error| wrong(&error))?, &params).map_err(|error| wrong(&error))?;
        let (instructions, _) = signed.into_parts();
        let query = instructions.params().iter().map(|(name, value)| format!("{name}={}", part(value)));
        Ok(Zeroizing::new(format!("{url}?{}", query.collect::<Vec<_>>().join("&"))))
    }
}

/// An object's name as a path.
fn encoded(object: &str) -> String {
    object.split('/').map(part).collect::<Vec<_>>().join("/")
}

/// One part of a path, or a value of a query, as AWS encodes it: all but letters, digits and `-._~`.
fn part(text: &str) -> String {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~".contains(byte);
    text.bytes().map(|byte| if plain(&byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use runnerless_core::time::Millis;

    /// The key and the day of AWS's own worked example of a signed URL (Amazon S3 API reference, "Authenticating Requests:
    /// Using Query Parameters").
    const AT: Timestamp = Timestamp(1_369_353_600_000);

    fn bucket(name: &str, region: &str, endpoint: Option<&str>, session: Option<&str>) -> CacheBucket {
        let credentials = Credentials {
            key_id: "AKIAIOSFODNN7EXAMPLE".to_owned(),
            secret: Zeroizing::new("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY".to_owned()),
            session: session.map(|text| Zeroizing::new(text.to_owned())),
        };
        CacheBucket::new(name, &Place::new(region, endpoint.map(str::to_owned)), &credentials)
    }

    fn url(bucket: &CacheBucket, object: &str, what: CacheUse) -> String {
        let allowed = Allowed { object: object.to_owned(), valid: Millis::secs(86_400) };
        bucket.sign(&allowed, what, AT).unwrap().to_string()
    }

    #[test]
    fn the_signature_is_that_of_awss_example() {
        let mut example = bucket("examplebucket", "us-east-1", None, None);
        // The example is older than hosts with a region.
        example.host = "examplebucket.s3.amazonaws.com".to_owned();
        example.root = format!("https://{}", example.host);
        let url = url(&example, "test.txt", CacheUse::Restore);
        assert!(
            url.starts_with("https://examplebucket.s3.amazonaws.com/test.txt?X-Amz-Algorithm=AWS4-HMAC-SHA256&"),
            "{url}"
        );
        for said in [
            "X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1%2Fs3%2Faws4_request",
            "X-Amz-Date=20130524T000000Z",
            "X-Amz-Expires=86400",
            "X-Amz-SignedHeaders=host",
            "X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404",
        ] {
            assert!(url.contains(said), "{said}: {url}");
        }
    }

    #[test]
    fn a_use_is_signed_for_its_method_and_object_and_with_the_session() {
        let bucket = bucket("caches", "eu-west-1", None, Some("session/token"));
        let restore = url(&bucket, "project/1/a b/ü%+", CacheUse::Restore);
        assert!(
            restore.starts_with("https://caches.s3.eu-west-1.amazonaws.com/project/1/a%20b/%C3%BC%25%2B?"),
            "{restore}"
        );
        assert!(restore.contains("X-Amz-Security-Token=session%2Ftoken"), "{restore}");
        let signature = |url: &str| url.split("X-Amz-Signature=").nth(1).unwrap().to_owned();
        let save = url(&bucket, "project/1/a b/ü%+", CacheUse::Save);
        assert_ne!(signature(&restore), signature(&save));
        assert_ne!(signature(&restore), signature(&url(&bucket, "project/2/a b/ü%+", CacheUse::Restore)));
    }

    #[test]
    fn the_bucket_is_in_the_host_or_in_the_path() {
        for (name, region, endpoint, root) in [
            ("b", "eu-west-1", None, "https://b.s3.eu-west-1.amazonaws.com"),
            ("b.c", "eu-west-1", None, "https://s3.eu-west-1.amazonaws.com/b.c"),
            ("b", "cn-north-1", None, "https://b.s3.cn-north-1.amazonaws.com.cn"),
            ("b", "eu-west-1", Some("http://127.0.0.1:4566/"), "http://127.0.0.1:4566/b"),
        ] {
            assert_eq!(bucket(name, region, endpoint, None).root, root);
        }
    }
}
