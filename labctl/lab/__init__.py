"""Looking after a lab: which sticks there are, what ails the computer, trying a stick out."""
