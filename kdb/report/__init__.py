"""A report: what the records say, as blocks of a document, and the two ways to write these down."""
