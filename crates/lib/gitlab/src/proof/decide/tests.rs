use super::*;
use crate::proof::SigningKey;
use proptest::prelude::*;

const KEY: &str = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
const OLD_KEY: &str = "whsec_ICEiIyQlJicoKSorLC0uLzAxMjM0NTY3ODk6Ozw9Pj8=";
const ID: &str = "6f0cbd2e-90ef-4c2c-8c1f-8a83f0a2a6a1";
const BODY: &[u8] = br#"{"object_kind":"build"}"#;
const NOW: Timestamp = Timestamp(1_789_373_730_500);

fn credentials(parameters: &[(&'static str, &'static str)]) -> Credentials {
    let get = |name: &str| parameters.iter().find(|(key, _)| *key == name).map(|(_, text)| *text);
    Credentials::read(parameters.iter().map(|(name, _)| *name), get)
}

fn both() -> Credentials {
    credentials(&[("SecretToken", "hush"), ("SigningToken", KEY), ("SigningTokenPrevious", OLD_KEY)])
}

fn token_only() -> Credentials {
    credentials(&[("SecretToken", "hush"), ("SecretTokenPrevious", "older")])
}

fn signed_at(token: &str, secs: i64) -> Vec<(&'static str, String)> {
    let secs = secs.to_string();
    let signature = SigningKey::parse(token).unwrap().sign(ID, &secs, BODY);
    vec![("webhook-id", ID.into()), ("webhook-timestamp", secs), ("webhook-signature", signature)]
}

fn signed(token: &str) -> Vec<(&'static str, String)> {
    signed_at(token, NOW.epoch_secs())
}

fn with(mut headers: Vec<(&'static str, String)>, name: &'static str, value: &str) -> Vec<(&'static str, String)> {
    headers.retain(|(key, _)| *key != name);
    headers.push((name, value.into()));
    headers
}

fn token(text: &str) -> Vec<(&'static str, String)> {
    vec![("X-Gitlab-Token", text.into())]
}

fn try_all(
    headers: Vec<(&'static str, String)>,
    credentials: &Credentials,
    alone: TokenAlone,
) -> Result<Proof, Refusal> {
    let headers = Headers::of(headers);
    let proved = prove(&headers, BODY, credentials, alone, NOW);
    let filtered = filter(&headers, credentials, alone, NOW);
    assert!(proved.is_err() || filtered.is_ok(), "the filter refused what the proof takes");
    proved
}

fn refused(headers: Vec<(&'static str, String)>, credentials: &Credentials) -> Refusal {
    try_all(headers, credentials, TokenAlone::Refused).unwrap_err()
}

#[test]
fn current_and_previous_keys_and_tokens_prove() {
    for key in [KEY, OLD_KEY] {
        let proof = try_all(signed(key), &both(), TokenAlone::Refused).unwrap();
        assert_eq!(proof.method, Method::Signature);
        assert!(proof.covers("any/project") && proof.covers(""));
    }
    for text in ["hush", "older"] {
        assert_eq!(try_all(token(text), &token_only(), TokenAlone::Refused).unwrap().method, Method::Token);
    }
    let right = signed(KEY).pop().unwrap().1;
    let list = with(signed(OLD_KEY), "webhook-signature", &format!("v3,x {right}"));
    assert!(try_all(list, &both(), TokenAlone::Refused).is_ok(), "any of the list is enough");
}

#[test]
fn a_signature_that_is_there_is_never_replaced_by_the_token() {
    for alone in [TokenAlone::Refused, TokenAlone::Allowed] {
        for bad in ["", " ", "v1,", "v1,AAAA", "garbage", "v2,zzz", "v1,AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="] {
            let headers = with(with(signed(KEY), "webhook-signature", bad), "X-Gitlab-Token", "hush");
            assert!(try_all(headers, &both(), alone).is_err(), "{bad:?}");
            if !bad.starts_with("v2") && bad.len() < 40 {
                let headers = with(token("hush"), "webhook-signature", bad);
                assert!(try_all(headers, &token_only(), alone).is_err(), "{bad:?} without a key");
            }
        }
        let mut doubled = signed(KEY);
        doubled.push(("Webhook-Signature", doubled[2].1.clone()));
        let joined = with(signed(KEY), "webhook-signature", &format!("{0},{0}", signed(KEY)[2].1));
        for headers in [doubled, joined] {
            assert!(try_all(with(headers, "X-Gitlab-Token", "hush"), &both(), alone).is_err());
        }
    }
}

#[test]
fn a_signature_that_nobody_can_check_leaves_the_proof_to_the_token() {
    let headers = with(signed(KEY), "X-Gitlab-Token", "hush");
    assert_eq!(try_all(headers, &token_only(), TokenAlone::Refused).unwrap().method, Method::Token);
    assert_eq!(refused(with(signed(KEY), "X-Gitlab-Token", "wrong"), &token_only()), Refusal::WrongToken);
    assert_eq!(refused(signed(KEY), &token_only()), Refusal::NoKey);
}

#[test]
fn a_token_alone_is_not_enough_where_a_key_is() {
    assert_eq!(refused(token("hush"), &both()), Refusal::TokenAlone);
    assert!(try_all(token("hush"), &both(), TokenAlone::Allowed).is_ok());
    assert_eq!(try_all(token("wrong"), &both(), TokenAlone::Allowed).unwrap_err(), Refusal::WrongToken);
}

#[test]
fn tokens_fit_whole_or_not_at_all() {
    for bad in ["hus", "hushh", "HUSH", " hush", "hush ", "hush,hush", "hush, hush", "\u{0}hush", "wrong"] {
        assert_eq!(refused(token(bad), &token_only()), Refusal::WrongToken, "{bad:?}");
    }
    for bad in ["", "  "] {
        assert_eq!(refused(token(bad), &token_only()), Refusal::Malformed("x-gitlab-token"));
    }
    let twice = vec![("x-gitlab-token", "hush".into()), ("X-Gitlab-Token", "hush".into())];
    assert_eq!(refused(twice, &token_only()), Refusal::Repeated("x-gitlab-token"));
    assert_eq!(refused(vec![], &token_only()), Refusal::NoProof);
}

#[test]
fn the_signed_time_is_within_five_minutes() {
    let now = NOW.epoch_secs();
    for offset in [-300, 0, 300] {
        assert!(try_all(signed_at(KEY, now + offset), &both(), TokenAlone::Refused).is_ok(), "{offset}");
    }
    for offset in [-301, 301, 86_400] {
        assert!(matches!(refused(signed_at(KEY, now + offset), &both()), Refusal::Stale(_)), "{offset}");
    }
    for bad in ["", "soon", "-1", "+1789373730", " 1789373730", "1789373730.0", "0x6aa6", "99999999999999999999"] {
        let headers = with(signed(KEY), "webhook-timestamp", bad);
        assert_eq!(refused(headers, &both()), Refusal::Malformed("webhook-timestamp"), "{bad}");
    }
}

#[test]
fn the_id_is_one_plain_word() {
    for bad in ["", " ", "a b", "a.b", "a,b", "\u{e9}", &"x".repeat(256)] {
        assert_eq!(refused(with(signed(KEY), "webhook-id", bad), &both()), Refusal::Malformed("webhook-id"), "{bad}");
    }
    assert_eq!(refused(with(signed(KEY), "webhook-id", "another"), &both()), Refusal::WrongSignature);
    let mut absent = signed(KEY);
    absent.remove(0);
    assert_eq!(refused(absent, &both()), Refusal::Malformed("webhook-id"));
}

#[test]
fn a_malformed_key_proves_nothing_and_keeps_signatures_demanded() {
    let broken = credentials(&[("SecretToken", "hush"), ("SigningToken", "whsec_c2hvcnQ=")]);
    assert_eq!(broken.unusable()[0].name, "SigningToken");
    assert_eq!(refused(token("hush"), &broken), Refusal::TokenAlone);
    assert_eq!(refused(with(signed(KEY), "X-Gitlab-Token", "hush"), &broken), Refusal::WrongSignature);
    let previous = credentials(&[("SigningToken", KEY), ("SigningTokenPrevious", "nonsense")]);
    assert!(try_all(signed(KEY), &previous, TokenAlone::Refused).is_ok());
    assert!(credentials(&[("SigningToken", "nonsense")]).is_empty());
}

#[test]
fn without_credentials_everything_is_refused() {
    for none in [credentials(&[]), credentials(&[("SecretToken", " \n"), ("Unknown", "x")])] {
        assert!(none.is_empty());
        assert_eq!(refused(token(""), &none), Refusal::NothingConfigured);
        assert_eq!(refused(signed(KEY), &none), Refusal::NothingConfigured);
    }
}

#[test]
fn a_bound_set_speaks_for_its_projects_only() {
    let bound = credentials(&[
        ("SigningToken", KEY),
        ("hooks/acme/SecretToken", "acme-token"),
        ("hooks/acme/Prefixes", "acme, tools/shared"),
        ("hooks/tools/SigningToken", OLD_KEY),
        ("hooks/tools/SecretToken", "tools-token"),
        ("hooks/tools/Prefixes", "tools"),
        ("hooks/loose/SecretToken", "loose-token"),
    ]);
    let acme = try_all(token("acme-token"), &bound, TokenAlone::Refused).unwrap();
    assert!(acme.covers("acme/widgets") && acme.covers("tools/shared/x"));
    assert!(!acme.covers("acme-labs/widgets") && !acme.covers("tools/other") && !acme.covers(""));
    let tools = try_all(signed(OLD_KEY), &bound, TokenAlone::Refused).unwrap();
    assert!(tools.covers("tools/other") && !tools.covers("acme/widgets"));
    assert!(try_all(signed(KEY), &bound, TokenAlone::Refused).unwrap().covers("acme/widgets"));
    assert_eq!(refused(token("tools-token"), &bound), Refusal::TokenAlone);
    assert_eq!(refused(token("loose-token"), &bound), Refusal::WrongToken);
    let unusable: Vec<&str> = bound.unusable().iter().map(|unusable| unusable.name.as_str()).collect();
    assert_eq!(unusable, ["hooks/loose/Prefixes"]);
}

#[test]
fn a_mistyped_parameter_is_reported() {
    let mistyped = credentials(&[
        ("SecretTokn", "x"),
        ("Prefixes", "acme"),
        ("hooks/SecretToken", "x"),
        ("hooks//SecretToken", "x"),
        ("hooks/a/b/SecretToken", "x"),
        ("other/a/SecretToken", "x"),
    ]);
    assert_eq!(mistyped.unusable().len(), 6);
    assert!(mistyped.is_empty());
}

proptest! {
    #[test]
    fn no_headers_panic_and_none_prove(
        pairs in proptest::collection::vec(
            (proptest::sample::select(vec!["webhook-id", "webhook-timestamp", "webhook-signature", "x-gitlab-token", "x"]), ".*"),
            0..6,
        ),
        body in proptest::collection::vec(any::<u8>(), 0..50),
    ) {
        let headers = Headers::of(pairs);
        for credentials in [both(), token_only(), Credentials::default()] {
            prop_assert!(prove(&headers, &body, &credentials, TokenAlone::Allowed, NOW).is_err());
            prop_assert!(filter(&headers, &credentials, TokenAlone::Allowed, NOW).is_err());
        }
    }

    #[test]
    fn a_changed_bit_of_the_body_is_refused(at in 0..BODY.len() * 8) {
        let mut body = BODY.to_vec();
        body[at / 8] ^= 1 << (at % 8);
        let proved = prove(&Headers::of(signed(KEY)), &body, &both(), TokenAlone::Allowed, NOW);
        prop_assert_eq!(proved, Err(Refusal::WrongSignature));
    }
}
