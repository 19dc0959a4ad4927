//! One file per promise.
//!
//! | promise | file | untimed | timed, clocks within the margin | timed, beyond it | record |
//! |---|---|---|---|---|---|
//! | C1 | [`tokens`] | checked | checked | checked | checked |
//! | C2 | [`deadline`] | no clock | checked | checked, by each client's own clock | checked |
//! | C3 | [`exclusion`] | no clock | checked | overlaps counted | checked; beyond it, counted |
//! | C4 | [`ownership`] | checked | checked | checked | checked |
//! | C5 | [`outcomes`] | messages come twice | checked | checked | checked |
//! | C6 | [`liveness`] | no clock | checked after the faults | nothing heals | checked after the faults |
//! | C7 | [`leftovers`] | no clock | checked | clean-up goes by clocks | checked |
//! | the resource | [`fencing`] | checked | checked | checked | checked |

pub mod deadline;
pub mod exclusion;
pub mod fencing;
pub mod leftovers;
pub mod liveness;
pub mod outcomes;
pub mod ownership;
pub mod tokens;
