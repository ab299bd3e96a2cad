"""What a learner loses on all episodes or levels, from n of them: bounds that are proven, estimated, predicted."""
