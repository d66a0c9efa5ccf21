//! The connections of all clients of a process: one pool, and one TLS configuration.
//!
//! Left alone, every SDK client reads the system's root certificates into a configuration when it is made, throws that
//! away, and does it again for its first call. For three clients that was a tenth of a cold start.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use aws_smithy_http_client::Connector;
use aws_smithy_http_client::proxy::ProxyConfig;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_http_client::tls::{Provider, TlsContext, TrustStore};
use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector as _, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::{RuntimeComponents, RuntimeComponentsBuilder};
use aws_smithy_types::config_bag::ConfigBag;
use runnerless_core::way::Way;

/// What the SDK's clients get their connector from.
#[doc(hidden)]
#[derive(Clone, Debug)]
pub struct Connections {
    connect_timeout: Duration,
    proxy: ProxyConfig,
    trusted: Option<TlsContext>,
    connector: Arc<OnceLock<SharedHttpConnector>>,
}

impl Connections {
    /// Of which each stands within `connect_timeout`, or does not come.
    pub(crate) fn new(connect_timeout: Duration) -> Self {
        Self { connect_timeout, proxy: ProxyConfig::from_env(), trusted: None, connector: Arc::default() }
    }

    /// By that way out. The certificates are those that [`Way`] was checked with.
    pub(crate) fn through(mut self, way: &Way) -> Result<Self, String> {
        if let Some(proxy) = &way.proxy {
            // The error's text would repeat the URL, and with it a password.
            let https = ProxyConfig::https(proxy.url.as_str()).map_err(|_| "no proxy has such a URL".to_owned())?;
            self.proxy = https.no_proxy(&proxy.bypass);
        }
        if let Some(pem) = &way.ca_pem {
            let trusted = TrustStore::default().with_pem_certificate(pem.as_bytes());
            let context = TlsContext::builder().with_trust_store(trusted).build();
            self.trusted = Some(context.map_err(|error| format!("the certificates cannot be used: {error}"))?);
        }
        Ok(self)
    }

    /// Sends a request as it is, of a service that has no client here.
    ///
    /// # Errors
    /// There is no answer.
    pub async fn exchange(&self, request: HttpRequest) -> Result<HttpResponse, ConnectorError> {
        self.connector().call(request).await
    }

    /// The SDK's own connector of this release (rustls with aws-lc, the system's roots, the environment's proxies), unless
    /// a way out says otherwise.
    fn connector(&self) -> &SharedHttpConnector {
        self.connector.get_or_init(|| {
            let settings = HttpConnectorSettings::builder().connect_timeout(self.connect_timeout).build();
            let connector = Connector::builder()
                .connector_settings(settings)
                .proxy_config(self.proxy.clone())
                .tls_provider(Provider::Rustls(CryptoMode::AwsLc));
            SharedHttpConnector::new(match &self.trusted {
                Some(context) => connector.tls_context(context.clone()).build(),
                None => connector.build(),
            })
        })
    }
}

impl HttpClient for Connections {
    fn http_connector(&self, _: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        self.connector().clone()
    }

    /// Called when a client is made. The certificates are read then and not by the first call: Lambda gives a function
    /// that starts more of a processor than one that serves.
    fn validate_base_client_config(&self, _: &RuntimeComponentsBuilder, _: &ConfigBag) -> Result<(), BoxError> {
        self.connector();
        Ok(())
    }
}
