//! What a daemon acts on: a model of the BEAM, of the service manager and of an app's health.
