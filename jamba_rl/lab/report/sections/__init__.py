"""What a report says, one question per file: from a `Study` to a `Section`, or to none where there is no answer."""
