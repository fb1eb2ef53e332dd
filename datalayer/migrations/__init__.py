"""Migrations: a history of readable files, made from the models and applied to the databases."""
