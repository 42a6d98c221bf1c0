"""The driver of active learning: state -> next state."""
