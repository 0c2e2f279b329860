"""What tests of datasets and plugins are made of: suites to subclass, laws, fault points and a faulty server."""
