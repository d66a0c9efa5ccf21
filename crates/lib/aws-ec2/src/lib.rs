//! Throwaway instances: the fleet port, its EC2 adapter and its in-memory stand-in.
