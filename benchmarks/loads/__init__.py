"""What clients do in each case: a load is carried once through one proxy, and its `Sample` says what that took."""
