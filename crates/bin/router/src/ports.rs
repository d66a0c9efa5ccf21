//! What the router speaks to.

use runnerless_aws::ports::{Invoker, Ledger, Mapping};
use runnerless_gitlab::rest::JobsApi;
use runnerless_lambda_kit::{Clock, Dice};

/// The ports as one parameter: the router and the sweep both bring them.
pub trait Ports: Sync {
    /// The ledger.
    type Ledger: Ledger;
    /// The mapping.
    type Mapping: Mapping;
    /// Lambda's invoke.
    type Invoker: Invoker;
    /// GitLab's jobs API.
    type Jobs: JobsApi;
    /// Time.
    type Clock: Clock;
    /// Random texts.
    type Dice: Dice;

    /// The ledger.
    fn ledger(&self) -> &Self::Ledger;
    /// The mapping.
    fn mapping(&self) -> &Self::Mapping;
    /// Lambda's invoke.
    fn invoker(&self) -> &Self::Invoker;
    /// The jobs API, when an API token is there.
    fn jobs(&self) -> Option<&Self::Jobs>;
    /// Time.
    fn clock(&self) -> &Self::Clock;
    /// Random texts.
    fn dice(&self) -> &Self::Dice;
}
