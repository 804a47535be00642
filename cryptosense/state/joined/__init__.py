"""Memory and Redis joined for the migration: six stages, one step at a time, in either direction.

| stage      | writes | reads          | whose answer counts |
|------------|--------|----------------|---------------------|
| `off`      | memory | memory         | memory              |
| `dualwrite`| both   | memory         | memory              |
| `shadow`   | both   | both, compared | memory              |
| `live`     | both   | both, compared | Redis               |
| `rampdown` | both   | Redis          | Redis               |
| `complete` | Redis  | Redis          | Redis               |

The side that counts goes first, and only its failures are raised. Values are drawn by the services and handed to both.
Reads copy nothing from one side to the other; a write that the counting side accepted is made on the other side as it
stands, so that the sides grow together with use.
"""
