"""What several test files need: users, servers, seams."""
