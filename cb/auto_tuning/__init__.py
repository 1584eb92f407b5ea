"""Auto-tune: trains, removes blocks with conflicts and trains again."""
