"""What `kdb import` reads: files of a shop, whatever form they have, as sessions."""
