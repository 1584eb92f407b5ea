"""What those who change the project run, beside the tests."""
