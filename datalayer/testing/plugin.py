"""The pytest plugin: fixtures for tests of projects that use datalayer."""
