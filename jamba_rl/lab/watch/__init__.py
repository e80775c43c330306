"""Looking at an agent: a film of a trained one (`record`), and clips of one in training (`clips`)."""
