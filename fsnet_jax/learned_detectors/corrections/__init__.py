"""Networks that correct MSP's log-odds, trained over a frozen S (phase 3)."""
