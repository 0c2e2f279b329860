"""Views as what other libraries take."""
